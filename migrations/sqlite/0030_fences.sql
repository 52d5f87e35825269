-- compatible-from: 27
-- Runs that go from one node to another, and what their servers' ends tell of them.
-- Counts how often a run has gone to another node. What an earlier owner writes is refused.
ALTER TABLE runs ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;
-- How many servers in succession have died while they made the run.
ALTER TABLE runs ADD COLUMN unclean_ends INTEGER NOT NULL DEFAULT 0;
-- Set from a take-over until the run is made again: it is not being made meanwhile.
ALTER TABLE runs ADD COLUMN is_held INTEGER NOT NULL DEFAULT 0;
-- The moment from which the run is made again alone, as a suspect; none if it is not.
ALTER TABLE runs ADD COLUMN alone_since INTEGER;
-- The node that had the run before the last take-over.
ALTER TABLE runs ADD COLUMN taken_from BLOB;
