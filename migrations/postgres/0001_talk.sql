-- Timestamps are UTC with microseconds, which is PostgreSQL's own precision. Text that is
-- sorted or searched has the collation "C", so that the order and the meaning of lower() are
-- the same in every database, SQLite included.
-- Every table carries tenant and owner, and every read names both.

CREATE TABLE agents (
    id                 uuid        NOT NULL PRIMARY KEY,
    tenant             text        NOT NULL,
    owner              text        NOT NULL,
    name               text        COLLATE "C" NOT NULL,
    source             text        NOT NULL CHECK (source IN ('FILE')),
    current_version_id uuid        NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    archived_at        timestamptz
);

CREATE UNIQUE INDEX agents_by_name ON agents (tenant, name);

CREATE TABLE agent_versions (
    id         uuid        NOT NULL PRIMARY KEY,
    tenant     text        NOT NULL,
    owner      text        NOT NULL,
    agent_id   uuid        NOT NULL REFERENCES agents (id),
    number     integer     NOT NULL,
    spec       jsonb       NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (agent_id, number)
);

CREATE TABLE sessions (
    id              uuid        NOT NULL PRIMARY KEY,
    tenant          text        NOT NULL,
    owner           text        NOT NULL,
    agent_id        uuid        NOT NULL REFERENCES agents (id),
    title           text        COLLATE "C",
    metadata        jsonb       NOT NULL,
    -- The last message of the visible branch and that branch's length.
    head_message_id uuid,
    branch_length   integer     NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    deleted_at      timestamptz
);

CREATE INDEX sessions_by_activity ON sessions (tenant, owner, updated_at, id) WHERE deleted_at IS NULL;

CREATE TABLE runs (
    id                  uuid        NOT NULL PRIMARY KEY,
    tenant              text        NOT NULL,
    owner               text        NOT NULL,
    session_id          uuid        NOT NULL REFERENCES sessions (id),
    agent_id            uuid        NOT NULL,
    agent_version_id    uuid        NOT NULL,
    model               text        NOT NULL,
    status              text        NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    finish_reason       text,
    error_code          text,
    error_message       text,
    error_retryable     boolean,
    input_tokens        bigint      NOT NULL,
    output_tokens       bigint      NOT NULL,
    cached_input_tokens bigint      NOT NULL,
    reasoning_tokens    bigint      NOT NULL,
    input_message_id    uuid        NOT NULL,
    output_message_id   uuid        NOT NULL,
    -- The server process that makes the run, and until when it has said so.
    node_id             uuid        NOT NULL,
    lease_expires_at    timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    finished_at         timestamptz
);

-- At most one active run in a session, whatever happens at the same time.
CREATE UNIQUE INDEX runs_active ON runs (session_id) WHERE status IN ('QUEUED', 'RUNNING');

CREATE TABLE messages (
    id            uuid        NOT NULL PRIMARY KEY,
    tenant        text        NOT NULL,
    owner         text        NOT NULL,
    session_id    uuid        NOT NULL REFERENCES sessions (id),
    parent_id     uuid,
    -- The place in its branch: a child's is its parent's plus one.
    position      integer     NOT NULL,
    role          text        NOT NULL CHECK (role IN ('USER', 'ASSISTANT')),
    run_id        uuid        NOT NULL,
    -- json, because jsonb refuses the character U+0000, which a model may well write.
    parts         json        NOT NULL,
    finish_reason text,
    created_at    timestamptz NOT NULL
);

CREATE INDEX messages_by_session ON messages (session_id, position);

-- The log of every run: one row for each group of events committed together. A row holds
-- the events first_sequence to last_sequence as a JSON array of [at, body]; json rather
-- than jsonb, because a log is read back whole and exactly as it was written.
CREATE TABLE run_events (
    run_id         uuid   NOT NULL REFERENCES runs (id),
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL,
    tenant         text   NOT NULL,
    owner          text   NOT NULL,
    events         json   NOT NULL,
    PRIMARY KEY (run_id, first_sequence)
);
