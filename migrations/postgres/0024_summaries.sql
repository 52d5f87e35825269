-- What models are told of messages that they are no longer shown: of a message's branch up to
-- and with that message, the earlier ones included.
CREATE TABLE summaries (
    message_id uuid        NOT NULL PRIMARY KEY REFERENCES messages (id),
    session_id uuid        NOT NULL REFERENCES sessions (id),
    tenant     text        NOT NULL,
    owner      text        NOT NULL,
    -- The message's.
    position   integer     NOT NULL,
    text       text        NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX summaries_by_session ON summaries (session_id, created_at);
