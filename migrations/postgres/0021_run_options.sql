-- What a client has asked of a run beyond its agent's configuration; nothing mostly.
ALTER TABLE runs ADD COLUMN options JSONB;
