-- compatible-from: 27
-- The question that the server of a tool asks during a call, as JSON; null for all other
-- interrupts. A run with an open one goes on running. An earlier release, which does not know the
-- column, lists it as an approval and cannot answer it.
ALTER TABLE interrupts ADD COLUMN asks TEXT;
