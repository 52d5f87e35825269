-- What runs wait for: a person's approval of a call, or a call that the client makes. Open while
-- it has no resolution; a run with an open one is AWAITING_INPUT.
CREATE TABLE interrupts (
    id           uuid NOT NULL PRIMARY KEY,
    tenant       text NOT NULL,
    owner        text NOT NULL,
    run_id       uuid NOT NULL REFERENCES runs (id),
    session_id   uuid NOT NULL REFERENCES sessions (id),
    tool_call_id uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('TOOL_APPROVAL', 'CLIENT_TOOL_CALL')),
    tool         text NOT NULL,
    arguments    json NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    -- The answer and when it came.
    resolution   json
);

CREATE INDEX interrupts_by_run ON interrupts (run_id);

CREATE INDEX interrupts_open ON interrupts (tenant, owner, id) WHERE resolution IS NULL;

CREATE INDEX interrupts_by_expiry ON interrupts (expires_at) WHERE resolution IS NULL;
