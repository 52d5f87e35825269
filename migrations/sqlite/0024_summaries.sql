-- What models are told of messages that they are no longer shown: of a message's branch up to
-- and with that message, the earlier ones included.
CREATE TABLE summaries (
    message_id BLOB    NOT NULL PRIMARY KEY REFERENCES messages (id),
    session_id BLOB    NOT NULL REFERENCES sessions (id),
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    -- The message's.
    position   INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX summaries_by_session ON summaries (session_id, created_at);
