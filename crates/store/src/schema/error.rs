//! Reasons not to serve a database because of its schema.

use sqlx::migrate::MigrateError;
use thiserror::Error;

use super::RELEASE;
use crate::StoreError;

/// Reasons not to serve a database because of its schema.
#[derive(Debug, Error)]
pub(crate) enum SchemaError {
    /// Migrations are missing, and the settings do not allow to apply them.
    #[error(
        "{count} migrations are to be applied, from {first} on, and store.migrate is false: run \
         `talkgraph migrate` with a role that may change the schema"
    )]
    Pending {
        /// The number of pending migrations.
        count: usize,
        /// The version of the first.
        first: i64,
    },
    /// A newer release has changed the database beyond what this one can serve.
    #[error(
        "the database was migrated by talkgraph {release}; this is talkgraph {RELEASE}, which \
         cannot serve it since migration {version}: run talkgraph {release} or newer, or restore a \
         backup from before the upgrade (docs/upgrading.md)"
    )]
    Newer {
        /// The release that has applied it.
        release: String,
        /// The migration.
        version: i64,
    },
    /// A migration that no release has recorded.
    #[error(
        "the database has migration {0}, which talkgraph {RELEASE} does not know and no release \
         has recorded: run the release that has migrated the database (docs/upgrading.md)"
    )]
    Unknown(i64),
    /// A migration that was interrupted.
    #[error(
        "migration {0} was begun and has not finished: restore a backup from before it \
         (docs/upgrading.md)"
    )]
    Unfinished(i64),
    /// An applied migration whose text differs from this release's.
    #[error(
        "migration {0} of the database is not the one of talkgraph {RELEASE}: they were built \
         from different sources; run the release that has migrated the database (docs/upgrading.md)"
    )]
    Changed(i64),
    /// A schema from before the baseline that is not complete.
    #[error(
        "the database was created by a build from before the first release and lacks migration \
         {0}: migrate it with the last build that has this migration, or start with a new database \
         (docs/upgrading.md)"
    )]
    BeforeBaseline(i64),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Failed(#[from] MigrateError),
}

impl From<SchemaError> for StoreError {
    fn from(error: SchemaError) -> Self {
        Self::Internal(error.to_string())
    }
}
