-- The name of an archived agent can be another's, and runs keep what they cost.
DROP INDEX agents_by_name;

CREATE INDEX agents_by_name ON agents (tenant, name);

CREATE UNIQUE INDEX agents_named ON agents (tenant, name) WHERE archived_at IS NULL;

-- In thousand-millionths of a US dollar; none where a model without a price took part.
ALTER TABLE runs ADD COLUMN cost_nanos bigint;
