-- compatible-from: 27
-- The tokens that a run has written to its providers' caches, and the part of them that is kept
-- for an hour: each has a price of its own. 0 of runs that are older than this.
ALTER TABLE runs ADD COLUMN cache_write_input_tokens bigint NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cache_write_1h_input_tokens bigint NOT NULL DEFAULT 0;
