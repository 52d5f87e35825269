-- What runs wait for: a person's approval of a call, or a call that the client makes. Open while
-- it has no resolution; a run with an open one is AWAITING_INPUT.
CREATE TABLE interrupts (
    id           BLOB NOT NULL PRIMARY KEY,
    tenant       TEXT NOT NULL,
    owner        TEXT NOT NULL,
    run_id       BLOB NOT NULL REFERENCES runs (id),
    session_id   BLOB NOT NULL REFERENCES sessions (id),
    tool_call_id BLOB NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('TOOL_APPROVAL', 'CLIENT_TOOL_CALL')),
    tool         TEXT NOT NULL,
    arguments    TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    -- The answer and when it came.
    resolution   TEXT
) STRICT;

CREATE INDEX interrupts_by_run ON interrupts (run_id);

CREATE INDEX interrupts_open ON interrupts (tenant, owner, id) WHERE resolution IS NULL;

CREATE INDEX interrupts_by_expiry ON interrupts (expires_at) WHERE resolution IS NULL;
