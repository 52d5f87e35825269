-- What messages have beside their text. Their parts name the files; a content is read only when
-- a model is shown it or somebody asks for it.
CREATE TABLE files (
    id         uuid        NOT NULL PRIMARY KEY,
    tenant     text        NOT NULL,
    owner      text        NOT NULL,
    name       text,
    mime_type  text        NOT NULL,
    content    bytea       NOT NULL,
    created_at timestamptz NOT NULL
);
