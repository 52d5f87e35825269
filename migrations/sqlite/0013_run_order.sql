-- no-transaction
-- Runs that wait in their session, the order in which a session's runs had their turn, runs
-- that wait for input, compacted logs, and agents that were made through the API. SQLite
-- changes no constraint in place, so two tables are made anew; what refers to them stays.
PRAGMA foreign_keys = OFF;

BEGIN IMMEDIATE;

CREATE TABLE new_agents (
    id                 BLOB    NOT NULL PRIMARY KEY,
    tenant             TEXT    NOT NULL,
    owner              TEXT    NOT NULL,
    name               TEXT    NOT NULL,
    source             TEXT    NOT NULL CHECK (source IN ('FILE', 'API')),
    current_version_id BLOB    NOT NULL,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    archived_at        INTEGER
) STRICT;

INSERT INTO new_agents SELECT id, tenant, owner, name, source, current_version_id, created_at,
    updated_at, archived_at FROM agents;

DROP TABLE agents;

ALTER TABLE new_agents RENAME TO agents;

CREATE UNIQUE INDEX agents_by_name ON agents (tenant, name);

CREATE TABLE new_runs (
    id                  BLOB    NOT NULL PRIMARY KEY,
    tenant              TEXT    NOT NULL,
    owner               TEXT    NOT NULL,
    session_id          BLOB    NOT NULL REFERENCES sessions (id),
    agent_id            BLOB    NOT NULL,
    agent_version_id    BLOB    NOT NULL,
    model               TEXT    NOT NULL,
    status              TEXT    NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT',
                                                           'COMPLETED', 'FAILED', 'CANCELLED')),
    -- Whether it waits for others of its session; its message has no place in the tree then.
    enqueued            INTEGER NOT NULL,
    -- Counts the runs of a session in the order in which they had their turn; none while enqueued.
    turn                INTEGER,
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
    -- Where the branch ended before the run.
    before_message_id   BLOB,
    before_length       INTEGER,
    -- The server process that makes the run, and until when it has said so.
    node_id             BLOB    NOT NULL,
    lease_expires_at    INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    -- When all events but the last were removed from its log.
    log_compacted_at    INTEGER
) STRICT;

INSERT INTO new_runs (id, tenant, owner, session_id, agent_id, agent_version_id, model, status,
    enqueued, turn, finish_reason, error_code, error_message, error_retryable, input_tokens,
    output_tokens, cached_input_tokens, reasoning_tokens, input_message_id, output_message_id,
    node_id, lease_expires_at, created_at, started_at, finished_at)
SELECT id, tenant, owner, session_id, agent_id, agent_version_id, model, status,
    0, ROW_NUMBER() OVER (PARTITION BY session_id ORDER BY id), finish_reason, error_code,
    error_message, error_retryable, input_tokens, output_tokens, cached_input_tokens,
    reasoning_tokens, input_message_id, output_message_id, node_id, lease_expires_at, created_at,
    started_at, finished_at
FROM runs;

DROP TABLE runs;

ALTER TABLE new_runs RENAME TO runs;

-- At most one active run in a session, whatever happens at the same time.
CREATE UNIQUE INDEX runs_active ON runs (session_id)
    WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT enqueued;

CREATE INDEX runs_enqueued ON runs (session_id, id) WHERE status = 'QUEUED' AND enqueued;

CREATE INDEX runs_by_turn ON runs (session_id, turn);

CREATE INDEX runs_to_compact ON runs (finished_at) WHERE log_compacted_at IS NULL;

ALTER TABLE sessions ADD COLUMN enqueued_runs INTEGER NOT NULL DEFAULT 0;

-- How many of the session's runs have had their turn.
ALTER TABLE sessions ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;

UPDATE sessions SET turns = (SELECT count(*) FROM runs WHERE runs.session_id = sessions.id);

COMMIT;

PRAGMA foreign_keys = ON;
