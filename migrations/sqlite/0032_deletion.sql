-- compatible-from: 27
-- The removal of the content of deleted sessions. A deleted session is a row without content
-- until its messages, runs and files are removed; then it has a time in purged_at, and is
-- removed later itself.
ALTER TABLE sessions ADD COLUMN purged_at INTEGER;

CREATE INDEX sessions_deleted ON sessions (deleted_at) WHERE deleted_at IS NOT NULL;

-- A fork's messages have the runs of those that they are copies of, and share their files.
CREATE INDEX messages_with_files ON messages (run_id) WHERE role = 'USER';

CREATE INDEX idempotency_keys_by_run ON idempotency_keys (run_id);

-- Foreign keys are looked up from the other side when a session is removed.
CREATE INDEX interrupts_by_session ON interrupts (session_id);
