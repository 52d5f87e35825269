-- compatible-from: 27
-- The release that has applied a migration, and the version of the newest migration that a
-- release has to know at least to serve the database after it. A release that meets migrations
-- that it does not know reads here if it may serve.
CREATE TABLE schema_releases (
    version         bigint      NOT NULL PRIMARY KEY,
    release         text        NOT NULL,
    compatible_from bigint      NOT NULL,
    applied_at      timestamptz NOT NULL
);
