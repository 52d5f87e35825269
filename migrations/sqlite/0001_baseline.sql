-- compatible-from: 1
-- Ids are 16-byte UUIDv7, timestamps are microseconds since 1970 UTC, documents are JSON text.
-- Every table has tenant and owner, and every read filters by both.

CREATE TABLE agents (
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

CREATE INDEX agents_by_name ON agents (tenant, name);

-- The name of an archived agent is free for another one.
CREATE UNIQUE INDEX agents_named ON agents (tenant, name) WHERE archived_at IS NULL;

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

-- A deleted session is a row without content until its messages, runs and files are removed;
-- then purged_at is set, and the row is removed later.
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
    deleted_at      INTEGER,
    enqueued_runs   INTEGER NOT NULL DEFAULT 0,
    -- The number of the session's runs that have left the queue.
    turns           INTEGER NOT NULL DEFAULT 0,
    -- Set for the session of a child run, which no list shows.
    parent_run_id   BLOB REFERENCES runs (id),
    purged_at       INTEGER
) STRICT;

CREATE INDEX sessions_by_activity ON sessions (tenant, owner, updated_at, id) WHERE deleted_at IS NULL;

CREATE INDEX sessions_by_parent ON sessions (parent_run_id) WHERE parent_run_id IS NOT NULL;

CREATE INDEX sessions_deleted ON sessions (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE runs (
    id                  BLOB    NOT NULL PRIMARY KEY,
    tenant              TEXT    NOT NULL,
    owner               TEXT    NOT NULL,
    session_id          BLOB    NOT NULL REFERENCES sessions (id),
    agent_id            BLOB    NOT NULL,
    agent_version_id    BLOB    NOT NULL,
    model               TEXT    NOT NULL,
    status              TEXT    NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT',
                                                           'COMPLETED', 'FAILED', 'CANCELLED')),
    -- True while the run waits for others of its session; its message has no place in the tree
    -- until then.
    enqueued            INTEGER NOT NULL,
    -- The run's place in the order in which the session's runs left the queue; null while enqueued.
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
    -- The end of the branch before the run.
    before_message_id   BLOB,
    before_length       INTEGER,
    -- The node that executes the run, and the end of its lease.
    node_id             BLOB    NOT NULL,
    lease_expires_at    INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    -- The time at which all events but the last were removed from the run's log.
    log_compacted_at    INTEGER,
    -- The client's options beyond the agent's configuration, as JSON; usually null.
    options             TEXT,
    -- In thousand-millionths of a US dollar; null if a model without a price took part.
    cost_nanos          INTEGER,
    -- The run whose agent asks this one's agent.
    parent_run_id       BLOB REFERENCES runs (id),
    -- The number of runs above it.
    depth               INTEGER NOT NULL DEFAULT 0,
    -- The session's agent before the run, which may hand the session to others: a rollback
    -- restores it.
    before_agent_id     BLOB,
    -- The number of take-overs by other nodes. Writes of an earlier holder are refused.
    fence               INTEGER NOT NULL DEFAULT 0,
    -- The number of nodes in succession that have died while they executed the run.
    unclean_ends        INTEGER NOT NULL DEFAULT 0,
    -- True from a take-over until the run is executed again.
    is_held             INTEGER NOT NULL DEFAULT 0,
    -- The time from which the run is executed alone, as a suspect; null if it is not.
    alone_since         INTEGER,
    -- The holder before the last take-over.
    taken_from          BLOB,
    -- The tokens written to the providers' caches, and the part of them that is kept for an hour:
    -- each has its own price.
    cache_write_input_tokens    INTEGER NOT NULL DEFAULT 0,
    cache_write_1h_input_tokens INTEGER NOT NULL DEFAULT 0
) STRICT;

-- At most one active run in a session, under any concurrency.
CREATE UNIQUE INDEX runs_active ON runs (session_id)
    WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT enqueued;

CREATE INDEX runs_enqueued ON runs (session_id, id) WHERE status = 'QUEUED' AND enqueued;

CREATE INDEX runs_by_turn ON runs (session_id, turn);

CREATE INDEX runs_to_compact ON runs (finished_at) WHERE log_compacted_at IS NULL;

CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

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

-- A fork's messages keep the runs of their originals, and share their files.
CREATE INDEX messages_with_files ON messages (run_id) WHERE role = 'USER';

-- No text of a message contains this word: in a string of JSON its quotes are escaped.
CREATE INDEX messages_with_result_files ON messages (run_id)
    WHERE role = 'ASSISTANT' AND instr(parts, '"fileId":') > 0;

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

-- The keys by which clients repeat a start without starting a second run. Written with the run;
-- the primary key decides which of several starts is the first.
CREATE TABLE idempotency_keys (
    tenant      TEXT    NOT NULL,
    owner       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- SHA-256 of the request under this key.
    fingerprint BLOB    NOT NULL,
    run_id      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (tenant, owner, key)
) STRICT;

CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

CREATE INDEX idempotency_keys_by_run ON idempotency_keys (run_id);

-- The facts that owners keep from one session to the next. An id is a digest of its owner and
-- its text, so that a repeated text is stored once.
CREATE TABLE memories (
    id       BLOB    NOT NULL PRIMARY KEY,
    tenant   TEXT    NOT NULL,
    owner    TEXT    NOT NULL,
    text     TEXT    NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT;

CREATE INDEX memories_by_owner ON memories (tenant, owner, saved_at);

-- The answers that runs wait for: a person's approval of a call, a call that the client makes,
-- or an input that a tool's server asks for. Open while resolution is null.
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
    -- The answer and its time.
    resolution   TEXT,
    -- The question of a tool's server during a call, as JSON; null for all other interrupts. A run
    -- with an open one continues.
    asks         TEXT
) STRICT;

CREATE INDEX interrupts_by_run ON interrupts (run_id);

CREATE INDEX interrupts_open ON interrupts (tenant, owner, id) WHERE resolution IS NULL;

CREATE INDEX interrupts_by_expiry ON interrupts (expires_at) WHERE resolution IS NULL;

-- The removal of a session looks up its foreign keys from the other side.
CREATE INDEX interrupts_by_session ON interrupts (session_id);

-- The text that replaces messages which models are no longer shown: a message's branch up to
-- and including that message.
CREATE TABLE summaries (
    message_id BLOB    NOT NULL PRIMARY KEY REFERENCES messages (id),
    session_id BLOB    NOT NULL REFERENCES sessions (id),
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    -- The message's position.
    position   INTEGER NOT NULL,
    text       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX summaries_by_session ON summaries (session_id, created_at);

-- The files of messages, whose parts name them; a content is read only for a model or a client
-- that needs it.
CREATE TABLE files (
    id         BLOB    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    name       TEXT,
    mime_type  TEXT    NOT NULL,
    content    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    -- The run of a tool result's file, so that one whose result never reached a message is removed
    -- with the run's session; null for files of users' messages.
    run_id     BLOB
) STRICT;

CREATE INDEX files_by_run ON files (run_id) WHERE run_id IS NOT NULL;

-- The newest events of all runs, in the order of their commits. A commit appends its rows to
-- one table, where a row in each run's log would change a page of the log and one of its index.
-- They are moved to their runs' logs in run_events later, several at a time: a row counts as
-- long as its run's log ends before it.
CREATE TABLE recent_events (
    id             INTEGER PRIMARY KEY,
    -- The process that has written the row, and moves it to the log.
    writer         INTEGER NOT NULL,
    run_id         BLOB    NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    events         TEXT    NOT NULL
) STRICT;

-- The number of take-overs of all runs. A writer that appends rows without reading their runs
-- compares this number instead.
CREATE TABLE takeovers (
    count INTEGER NOT NULL
) STRICT;

INSERT INTO takeovers (count) VALUES (0);

-- The node that takes a run over gets its whole log; the node before it can append nothing more.
CREATE TRIGGER runs_taken_over
AFTER UPDATE OF node_id ON runs
WHEN NEW.node_id IS NOT OLD.node_id
BEGIN
    INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, owner, events)
    SELECT n.run_id, n.first_sequence, n.last_sequence, NEW.tenant, NEW.owner, n.events
    FROM recent_events n
    WHERE n.run_id = NEW.id
      AND n.first_sequence > coalesce((
          SELECT e.last_sequence FROM run_events e WHERE e.run_id = NEW.id
          ORDER BY e.first_sequence DESC LIMIT 1), 0)
    ORDER BY n.first_sequence;
    DELETE FROM recent_events WHERE run_id = NEW.id;
    UPDATE takeovers SET count = count + 1;
END;

-- The release that has applied a migration, and the version of the newest migration that a
-- release has to know to serve the database after it. A release that finds migrations that it
-- does not know decides by this table.
CREATE TABLE schema_releases (
    version         INTEGER NOT NULL PRIMARY KEY,
    release         TEXT    NOT NULL,
    compatible_from INTEGER NOT NULL,
    applied_at      INTEGER NOT NULL
) STRICT;
