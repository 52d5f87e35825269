-- Runs that wait in their session, the order in which a session's runs had their turn, runs
-- that wait for input, compacted logs, and agents that were made through the API.
ALTER TABLE agents DROP CONSTRAINT agents_source_check,
    ADD CONSTRAINT agents_source_check CHECK (source IN ('FILE', 'API'));

ALTER TABLE runs DROP CONSTRAINT runs_status_check,
    ADD CONSTRAINT runs_status_check CHECK (status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT',
                                                       'COMPLETED', 'FAILED', 'CANCELLED')),
    -- Whether it waits for others of its session; its message has no place in the tree then.
    ADD COLUMN enqueued          boolean NOT NULL DEFAULT false,
    -- Counts the runs of a session in the order in which they had their turn; none while enqueued.
    ADD COLUMN turn              integer,
    -- Where the branch ended before the run.
    ADD COLUMN before_message_id uuid,
    ADD COLUMN before_length     integer,
    -- When all events but the last were removed from its log.
    ADD COLUMN log_compacted_at  timestamptz;

UPDATE runs SET turn = v.turn
FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY session_id ORDER BY id) AS turn FROM runs) v
WHERE runs.id = v.id;

DROP INDEX runs_active;

-- At most one active run in a session, whatever happens at the same time.
CREATE UNIQUE INDEX runs_active ON runs (session_id)
    WHERE status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT enqueued;

CREATE INDEX runs_enqueued ON runs (session_id, id) WHERE status = 'QUEUED' AND enqueued;

CREATE INDEX runs_by_turn ON runs (session_id, turn);

CREATE INDEX runs_to_compact ON runs (finished_at) WHERE log_compacted_at IS NULL;

ALTER TABLE sessions
    ADD COLUMN enqueued_runs integer NOT NULL DEFAULT 0,
    -- How many of the session's runs have had their turn.
    ADD COLUMN turns         integer NOT NULL DEFAULT 0;

UPDATE sessions SET turns = (SELECT count(*) FROM runs WHERE runs.session_id = sessions.id);
