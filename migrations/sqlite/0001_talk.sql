-- Ids are 16-byte UUIDv7, timestamps are microseconds since 1970 UTC, documents are JSON text.
-- Every table carries tenant and owner, and every read names both.

CREATE TABLE agents (
    id                 BLOB    NOT NULL PRIMARY KEY,
    tenant             TEXT    NOT NULL,
    owner              TEXT    NOT NULL,
    name               TEXT    NOT NULL,
    source             TEXT    NOT NULL CHECK (source IN ('FILE')),
    current_version_id BLOB    NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    archived_at        INTEGER
) STRICT;

CREATE UNIQUE INDEX agents_by_name ON agents (tenant, name);

CREATE TABLE agent_versions (
    id         BLOB    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    agent_id   BLOB    NOT NULL REFERENCES agents (id),
    number     INTEGER NOT NULL,
    spec       TEXT    NOT NULL CHECK (json_valid(spec)),
    created_at INTEGER NOT NULL,
    UNIQUE (agent_id, number)
) STRICT;

CREATE TABLE sessions (
    id              BLOB    NOT NULL PRIMARY KEY,
    tenant          TEXT    NOT NULL,
    owner           TEXT    NOT NULL,
    agent_id        BLOB    NOT NULL REFERENCES agents (id),
    title           TEXT,
    metadata        TEXT    NOT NULL CHECK (json_valid(metadata)),
    -- The last message of the visible branch and that branch's length.
    head_message_id BLOB,
    branch_length   INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    deleted_at      INTEGER
) STRICT;

CREATE INDEX sessions_by_activity ON sessions (tenant, owner, updated_at, id) WHERE deleted_at IS NULL;

CREATE TABLE runs (
    id                  BLOB    NOT NULL PRIMARY KEY,
    tenant              TEXT    NOT NULL,
    owner               TEXT    NOT NULL,
    session_id          BLOB    NOT NULL REFERENCES sessions (id),
    agent_id            BLOB    NOT NULL,
    agent_version_id    BLOB    NOT NULL,
    model               TEXT    NOT NULL,
    status              TEXT    NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    finish_reason       TEXT,
    error_code          TEXT,
    error_message       TEXT,
    error_retryable     INTEGER,
    input_tokens        INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    reasoning_tokens    INTEGER NOT NULL,
    input_message_id    BLOB    NOT NULL,
    output_message_id   BLOB    NOT NULL,
    -- The server process that makes the run, and until when it has said so.
    node_id             BLOB    NOT NULL,
    lease_expires_at    INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER
) STRICT;

-- At most one active run in a session, whatever happens at the same time.
CREATE UNIQUE INDEX runs_active ON runs (session_id) WHERE status IN ('QUEUED', 'RUNNING');

CREATE TABLE messages (
    id            BLOB    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    session_id    BLOB    NOT NULL REFERENCES sessions (id),
    parent_id     BLOB,
    -- The place in its branch: a child's is its parent's plus one.
    position      INTEGER NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('USER', 'ASSISTANT')),
    run_id        BLOB    NOT NULL,
    parts         TEXT    NOT NULL,
    finish_reason TEXT,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_by_session ON messages (session_id, position);

-- The log of every run: one row for each group of events committed together. A row holds
-- the events first_sequence to last_sequence as a JSON array of [at, body].
CREATE TABLE run_events (
    run_id         BLOB    NOT NULL REFERENCES runs (id),
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    tenant         TEXT    NOT NULL,
    owner          TEXT    NOT NULL,
    events         TEXT    NOT NULL,
    PRIMARY KEY (run_id, first_sequence)
) STRICT;
