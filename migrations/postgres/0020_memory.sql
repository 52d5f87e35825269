-- What owners want remembered from one session to the next. An id is a digest of its owner and
-- its text, so that what is said twice is there once.
CREATE TABLE memories (
    id       uuid        NOT NULL PRIMARY KEY,
    tenant   text        NOT NULL,
    owner    text        NOT NULL,
    text     text        NOT NULL,
    saved_at timestamptz NOT NULL
);

CREATE INDEX memories_by_owner ON memories (tenant, owner, saved_at);
