-- The newest events of all runs, in the order in which they came. A commit adds its rows at
-- the end of one table, where a row in each run's log would change a page of the log and one
-- of its index. They are written to their runs' logs in run_events later, several at a time,
-- and removed from here after that: a row counts as long as its run's log ends before it.
CREATE TABLE recent_events (
    id             INTEGER PRIMARY KEY,
    -- The process that has written the row, and will write it to its log.
    writer         INTEGER NOT NULL,
    run_id         BLOB    NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    events         TEXT    NOT NULL
) STRICT;

-- How often a run has gone from one node to another. Who adds rows without looking at their
-- runs asks for this number instead.
CREATE TABLE takeovers (
    count INTEGER NOT NULL
) STRICT;

INSERT INTO takeovers (count) VALUES (0);

-- Whoever gets a run gets its whole log, and who had it can add nothing more to it.
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
