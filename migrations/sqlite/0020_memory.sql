-- What owners want remembered from one session to the next. An id is a digest of its owner and
-- its text, so that what is said twice is there once.
CREATE TABLE memories (
    id       BLOB    NOT NULL PRIMARY KEY,
    tenant   TEXT    NOT NULL,
    owner    TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;

CREATE INDEX memories_by_owner ON memories (tenant, owner, saved_at);
