-- compatible-from: 27
-- The release that has applied a migration, and the version of the newest migration that a
-- release has to know at least to serve the database after it. A release that meets migrations
-- that it does not know reads here if it may serve.
CREATE TABLE schema_releases (
    version         INTEGER NOT NULL PRIMARY KEY,
    release         TEXT    NOT NULL,
    compatible_from INTEGER NOT NULL,
    applied_at      INTEGER NOT NULL
) STRICT;
