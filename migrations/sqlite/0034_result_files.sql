-- compatible-from: 27
-- Files of tool results. A file knows its run, so that one whose result never came into a message
-- is removed with the run's session; an earlier release leaves it null, and such files belong to
-- messages of users.
ALTER TABLE files ADD COLUMN run_id BLOB;

CREATE INDEX files_by_run ON files (run_id) WHERE run_id IS NOT NULL;

-- A fork's messages have the runs of those that they are copies of, and share their files. No text
-- of a message has this word in it: in a string of JSON its quotes are escaped.
CREATE INDEX messages_with_result_files ON messages (run_id)
    WHERE role = 'ASSISTANT' AND instr(parts, '"fileId":') > 0;
