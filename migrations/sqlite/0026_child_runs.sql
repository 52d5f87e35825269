-- Runs that an agent has started to ask another agent. Each has a session of its own, which no
-- list shows; both name the run that asks.
ALTER TABLE runs ADD COLUMN parent_run_id BLOB REFERENCES runs (id);
-- How many runs are above it.
ALTER TABLE runs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN parent_run_id BLOB REFERENCES runs (id);

CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

CREATE INDEX sessions_by_parent ON sessions (parent_run_id) WHERE parent_run_id IS NOT NULL;
