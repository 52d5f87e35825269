-- What messages have beside their text. Their parts name the files; a content is read only when
-- a model is shown it or somebody asks for it.
CREATE TABLE files (
    id         BLOB    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    name       TEXT,
    mime_type  TEXT    NOT NULL,
    content    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
