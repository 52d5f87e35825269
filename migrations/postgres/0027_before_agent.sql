-- The agent that had the session before a run, which may hand it to others: a run that is rolled
-- back gives it back. None of runs that are older than this.
ALTER TABLE runs ADD COLUMN before_agent_id uuid;
