-- compatible-from: 1
-- Timestamps are UTC with microseconds, which is PostgreSQL's own precision. Text that is
-- sorted or searched has the collation "C", so that the order and the meaning of lower() are
-- the same in every database, SQLite included.
-- Every table has tenant and owner, and every read filters by both.

CREATE TABLE agents (
    id                 uuid        NOT NULL PRIMARY KEY,
    tenant             text        NOT NULL,
    owner              text        NOT NULL,
    name               text        COLLATE "C" NOT NULL,
    source             text        NOT NULL CHECK (source IN ('FILE', 'API')),
    current_version_id uuid        NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    archived_at        timestamptz
);

CREATE INDEX agents_by_name ON agents (tenant, name);

-- The name of an archived agent is free for another one.
CREATE UNIQUE INDEX agents_named ON agents (tenant, name) WHERE archived_at IS NULL;

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

-- A deleted session is a row without content until its messages, runs and files are removed;
-- then purged_at is set, and the row is removed later.
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
    deleted_at      timestamptz,
    enqueued_runs   integer     NOT NULL DEFAULT 0,
    -- The number of the session's runs that have left the queue.
    turns           integer     NOT NULL DEFAULT 0,
    -- Set for the session of a child run, which no list shows.
    parent_run_id   uuid,
    purged_at       timestamptz
);

CREATE INDEX sessions_by_activity ON sessions (tenant, owner, updated_at, id) WHERE deleted_at IS NULL;

CREATE INDEX sessions_by_parent ON sessions (parent_run_id) WHERE parent_run_id IS NOT NULL;

CREATE INDEX sessions_deleted ON sessions (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE runs (
    id                          uuid        NOT NULL PRIMARY KEY,
    tenant                      text        NOT NULL,
    owner                       text        NOT NULL,
    session_id                  uuid        NOT NULL REFERENCES sessions (id),
    agent_id                    uuid        NOT NULL,
    agent_version_id            uuid        NOT NULL,
    model                       text        NOT NULL,
    status                      text        NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT',
                                                                   'COMPLETED', 'FAILED', 'CANCELLED')),
    finish_reason               text,
    error_code                  text,
    error_message               text,
    error_retryable             boolean,
    input_tokens                bigint      NOT NULL,
    output_tokens               bigint      NOT NULL,
    cached_input_tokens         bigint      NOT NULL,
    reasoning_tokens            bigint      NOT NULL,
    input_message_id            uuid        NOT NULL,
    output_message_id           uuid        NOT NULL,
    -- The node that executes the run, and the end of its lease.
    node_id                     uuid        NOT NULL,
    lease_expires_at            timestamptz NOT NULL,
    created_at                  timestamptz NOT NULL,
    started_at                  timestamptz,
    finished_at                 timestamptz,
    -- True while the run waits for others of its session; its message has no place in the tree
    -- until then.
    enqueued                    boolean     NOT NULL DEFAULT false,
    -- The run's place in the order in which the session's runs left the queue; null while enqueued.
    turn                        integer,
    -- The end of the branch before the run.
    before_message_id           uuid,
    before_length               integer,
    -- The time at which all events but the last were removed from the run's log.
    log_compacted_at            timestamptz,
    -- The client's options beyond the agent's configuration, usually null.
    options                     jsonb,
    -- In thousand-millionths of a US dollar; null if a model without a price took part.
    cost_nanos                  bigint,
    -- The run whose agent asks this one's agent.
    parent_run_id               uuid        REFERENCES runs (id),
    -- The number of runs above it.
    depth                       integer     NOT NULL DEFAULT 0,
    -- The session's agent before the run, which may hand the session to others: a rollback
    -- restores it.
    before_agent_id             uuid,
    -- The number of take-overs by other nodes. Writes of an earlier holder are refused.
    fence                       bigint      NOT NULL DEFAULT 0,
    -- The number of nodes in succession that have died while they executed the run.
    unclean_ends                integer     NOT NULL DEFAULT 0,
    -- True from a take-over until the run is executed again.
    is_held                     boolean     NOT NULL DEFAULT false,
    -- The time from which the run is executed alone, as a suspect; null if it is not.
    alone_since                 timestamptz,
    -- The holder before the last take-over.
    taken_from                  uuid,
    -- The tokens written to the providers' caches, and the part of them that is kept for an hour:
    -- each has its own price.
    cache_write_input_tokens    bigint      NOT NULL DEFAULT 0,
    cache_write_1h_input_tokens bigint      NOT NULL DEFAULT 0
);

-- At most one active run in a session, under any concurrency.
CREATE UNIQUE INDEX runs_active ON runs (session_id)
    WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT enqueued;

CREATE INDEX runs_enqueued ON runs (session_id, id) WHERE status = 'QUEUED' AND enqueued;

CREATE INDEX runs_by_turn ON runs (session_id, turn);

CREATE INDEX runs_to_compact ON runs (finished_at) WHERE log_compacted_at IS NULL;

ALTER TABLE sessions ADD FOREIGN KEY (parent_run_id) REFERENCES runs (id);

CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

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
    -- json, because jsonb refuses the character U+0000, which a model may write.
    parts         json        NOT NULL,
    finish_reason text,
    created_at    timestamptz NOT NULL
);

CREATE INDEX messages_by_session ON messages (session_id, position);

-- A fork's messages keep the runs of their originals, and share their files.
CREATE INDEX messages_with_files ON messages (run_id) WHERE role = 'USER';

-- No text of a message contains this word: in a string of JSON its quotes are escaped.
CREATE INDEX messages_with_result_files ON messages (run_id)
    WHERE role = 'ASSISTANT' AND strpos(parts::text, '"fileId":') > 0;

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

-- The keys by which clients repeat a start without starting a second run. Written with the run;
-- the primary key decides which of several starts is the first.
CREATE TABLE idempotency_keys (
    tenant      text        NOT NULL,
    owner       text        NOT NULL,
    key         text        COLLATE "C" NOT NULL,
    -- SHA-256 of the request under this key.
    fingerprint bytea       NOT NULL,
    run_id      uuid        NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, owner, key)
);

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

CREATE INDEX idempotency_keys_by_run ON idempotency_keys (run_id);

-- The facts that owners keep from one session to the next. An id is a digest of its owner and
-- its text, so that a repeated text is stored once.
CREATE TABLE memories (
    id       uuid        NOT NULL PRIMARY KEY,
    tenant   text        NOT NULL,
    owner    text        NOT NULL,
    text     text        NOT NULL,
    saved_at timestamptz NOT NULL
);

CREATE INDEX memories_by_owner ON memories (tenant, owner, saved_at);

-- The answers that runs wait for: a person's approval of a call, a call that the client makes,
-- or an input that a tool's server asks for. Open while resolution is null.
CREATE TABLE interrupts (
    id           uuid        NOT NULL PRIMARY KEY,
    tenant       text        NOT NULL,
    owner        text        NOT NULL,
    run_id       uuid        NOT NULL REFERENCES runs (id),
    session_id   uuid        NOT NULL REFERENCES sessions (id),
    tool_call_id uuid        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('TOOL_APPROVAL', 'CLIENT_TOOL_CALL')),
    tool         text        NOT NULL,
    arguments    json        NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    -- The answer and its time.
    resolution   json,
    -- The question of a tool's server during a call, as JSON; null for all other interrupts. A run
    -- with an open one continues.
    asks         json
);

CREATE INDEX interrupts_by_run ON interrupts (run_id);

CREATE INDEX interrupts_open ON interrupts (tenant, owner, id) WHERE resolution IS NULL;

CREATE INDEX interrupts_by_expiry ON interrupts (expires_at) WHERE resolution IS NULL;

-- The removal of a session looks up its foreign keys from the other side.
CREATE INDEX interrupts_by_session ON interrupts (session_id);

-- The text that replaces messages which models are no longer shown: a message's branch up to
-- and including that message.
CREATE TABLE summaries (
    message_id uuid        NOT NULL PRIMARY KEY REFERENCES messages (id),
    session_id uuid        NOT NULL REFERENCES sessions (id),
    tenant     text        NOT NULL,
    owner      text        NOT NULL,
    -- The message's position.
    position   integer     NOT NULL,
    text       text        NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX summaries_by_session ON summaries (session_id, created_at);

-- The files of messages, whose parts name them; a content is read only for a model or a client
-- that needs it.
CREATE TABLE files (
    id         uuid        NOT NULL PRIMARY KEY,
    tenant     text        NOT NULL,
    owner      text        NOT NULL,
    name       text,
    mime_type  text        NOT NULL,
    content    bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    -- The run of a tool result's file, so that one whose result never reached a message is removed
    -- with the run's session; null for files of users' messages.
    run_id     uuid
);

CREATE INDEX files_by_run ON files (run_id) WHERE run_id IS NOT NULL;

-- The release that has applied a migration, and the version of the newest migration that a
-- release has to know to serve the database after it. A release that finds migrations that it
-- does not know decides by this table.
CREATE TABLE schema_releases (
    version         bigint      NOT NULL PRIMARY KEY,
    release         text        NOT NULL,
    compatible_from bigint      NOT NULL,
    applied_at      timestamptz NOT NULL
);
