//! The database's schema at start: which migrations it has, which it lacks, and if a release
//! that does not know all of them may serve it. With nothing to migrate it only reads.

use std::collections::{HashMap, HashSet};

use sqlx::QueryBuilder;
use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use thiserror::Error;

use super::StoreError;
use super::dialect::{Dialect, Value, fetch, one};
use talkgraph_domain::time::now;

/// This release.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// sqlx's table of applied migrations.
const APPLIED: &str = "_sqlx_migrations";

/// The table of the releases that have applied them.
const RELEASES: &str = "schema_releases";

/// The first migration that declares which releases can serve the database after it.
const FIRST_DECLARED: i64 = 32;

/// The line of a migration's file with the version that a release has to know at least to serve
/// the database after that migration.
const COMPATIBLE_FROM: &str = "-- compatible-from: ";

/// Reasons not to serve a database because of its schema.
#[derive(Debug, Error)]
pub(crate) enum SchemaError {
    /// Something is to be migrated, and the settings do not allow it.
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
        "the database was made by talkgraph {release}; this is talkgraph {RELEASE}, which cannot \
         serve it since migration {version}: run talkgraph {release} or newer, or go back to a \
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
         has recorded: run the release that has made the database (docs/upgrading.md)"
    )]
    Unknown(i64),
    /// A migration has not come to its end.
    #[error(
        "migration {0} was begun and has not finished: go back to a backup from before it \
         (docs/upgrading.md)"
    )]
    Unfinished(i64),
    /// An applied migration has another text here.
    #[error(
        "migration {0} of the database is not the one of talkgraph {RELEASE}: they were built \
         from different sources; run the release that has made the database (docs/upgrading.md)"
    )]
    Changed(i64),
    /// A migration failed.
    #[error("migration failed: {0}")]
    Failed(#[from] MigrateError),
}

impl From<SchemaError> for StoreError {
    fn from(error: SchemaError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Brings the database up to date where it is not and `may_migrate` says so, and checks that this
/// release can serve it.
pub(crate) async fn prepare<DB: Dialect>(
    connection: &mut DB::Connection,
    known: &Migrator,
    may_migrate: bool,
) -> Result<(), StoreError>
where
    DB::Connection: Migrate,
{
    let mut schema = Schema::<DB>::read(connection, known).await?;
    schema.check()?;
    let pending = schema.pending();
    if let Some(first) = pending.first() {
        if !may_migrate {
            return Err(SchemaError::Pending {
                count: pending.len(),
                first: first.version,
            }
            .into());
        }
        migrate::<DB>(connection, known).await?;
        schema = Schema::<DB>::read(connection, known).await?;
        schema.check()?;
    }
    schema.announce();
    let missing = schema.unrecorded();
    record::<DB>(connection, &missing).await
}

/// Applies what is missing. Several processes that do so at the same time take turns.
async fn migrate<DB: Dialect>(
    connection: &mut DB::Connection,
    known: &Migrator,
) -> Result<(), SchemaError>
where
    DB::Connection: Migrate,
{
    let mut migrator = Migrator::with_migrations(known.iter().cloned().collect());
    // The unknown ones are compatible: that is checked before and after.
    migrator.set_ignore_missing(true);
    Ok(migrator.run_direct(None, connection, false).await?)
}

/// A release's record of a migration.
struct Release {
    release: String,
    compatible_from: i64,
}

/// The database's migrations: the ones that this release knows, and others.
struct Schema<'m, DB> {
    known: &'m Migrator,
    /// Checksums by version.
    applied: HashMap<i64, Vec<u8>>,
    unfinished: Option<i64>,
    releases: HashMap<i64, Release>,
    database: std::marker::PhantomData<DB>,
}

impl<'m, DB: Dialect> Schema<'m, DB>
where
    DB::Connection: Migrate,
{
    async fn read(
        connection: &mut DB::Connection,
        known: &'m Migrator,
    ) -> Result<Self, StoreError> {
        let mut schema = Self {
            known,
            applied: HashMap::new(),
            unfinished: None,
            releases: HashMap::new(),
            database: std::marker::PhantomData,
        };
        if has_table::<DB>(connection, APPLIED).await? {
            let unfinished = connection.dirty_version(APPLIED).await;
            schema.unfinished = unfinished.map_err(SchemaError::from)?;
            let applied = connection.list_applied_migrations(APPLIED).await;
            let applied = applied.map_err(SchemaError::from)?.into_iter();
            schema.applied = applied
                .map(|one| (one.version, one.checksum.into_owned()))
                .collect();
        }
        if has_table::<DB>(connection, RELEASES).await? {
            let query =
                QueryBuilder::new("SELECT version, release, compatible_from FROM schema_releases");
            let rows: Vec<(i64, String, i64)> = fetch::<DB, _>(connection, query).await?;
            schema.releases = rows
                .into_iter()
                .map(|(version, release, compatible_from)| {
                    let release = Release {
                        release,
                        compatible_from,
                    };
                    (version, release)
                })
                .collect();
        }
        Ok(schema)
    }

    /// Refuses what this release cannot serve.
    fn check(&self) -> Result<(), SchemaError> {
        if let Some(version) = self.unfinished {
            return Err(SchemaError::Unfinished(version));
        }
        for migration in self.known.iter() {
            let applied = self.applied.get(&migration.version);
            if applied.is_some_and(|checksum| *checksum != *migration.checksum) {
                return Err(SchemaError::Changed(migration.version));
            }
        }
        let newest = self.known.iter().map(|one| one.version).max().unwrap_or(0);
        for version in self.unknown() {
            let record = self.releases.get(&version);
            let record = record.ok_or(SchemaError::Unknown(version))?;
            if record.compatible_from > newest {
                return Err(SchemaError::Newer {
                    release: record.release.clone(),
                    version,
                });
            }
        }
        Ok(())
    }

    /// The versions of the applied migrations that this release does not know, in order.
    fn unknown(&self) -> Vec<i64> {
        let known: HashSet<_> = self.known.iter().map(|one| one.version).collect();
        let mut unknown: Vec<_> = self.applied.keys().copied().collect();
        unknown.retain(|version| !known.contains(version));
        unknown.sort_unstable();
        unknown
    }

    fn pending(&self) -> Vec<&Migration> {
        let is_pending = |one: &&Migration| !self.applied.contains_key(&one.version);
        self.known.iter().filter(is_pending).collect()
    }

    /// Says once that the database is a newer release's.
    fn announce(&self) {
        let last = self.unknown().pop();
        if let Some(record) = last.and_then(|version| self.releases.get(&version)) {
            tracing::info!(
                release = record.release,
                "the database was made by a newer release, which declares that this one can serve \
                 it"
            );
        }
    }

    /// Applied migrations without a record: those of just now, or of a process that has died
    /// before it could write one.
    fn unrecorded(&self) -> Vec<&'m Migration> {
        let is_unrecorded = |one: &&Migration| {
            one.version >= FIRST_DECLARED
                && self.applied.contains_key(&one.version)
                && !self.releases.contains_key(&one.version)
        };
        self.known.iter().filter(is_unrecorded).collect()
    }
}

async fn has_table<DB: Dialect>(
    connection: &mut DB::Connection,
    table: &str,
) -> Result<bool, StoreError> {
    let mut query = QueryBuilder::new(DB::HAS_TABLE);
    DB::bind(&mut query, Value::Text(table));
    query.push(")");
    let (has_table,): (bool,) = one(connection, query).await?;
    Ok(has_table)
}

/// Writes down that this release has applied migrations.
async fn record<DB: Dialect>(
    connection: &mut DB::Connection,
    migrations: &[&Migration],
) -> Result<(), StoreError> {
    for migration in migrations {
        let mut query = QueryBuilder::new(
            "INSERT INTO schema_releases (version, release, compatible_from, applied_at) VALUES (",
        );
        DB::bind(&mut query, Value::Number(migration.version));
        query.push(", ");
        DB::bind(&mut query, Value::Text(RELEASE));
        query.push(", ");
        DB::bind(&mut query, Value::Number(compatible_from(migration)));
        query.push(", ");
        DB::bind(&mut query, Value::Time(now()));
        query.push(") ON CONFLICT (version) DO NOTHING");
        DB::execute(connection, query).await?;
    }
    Ok(())
}

/// The version that a release has to know to serve the database after a migration: its own
/// unless it declares another.
fn compatible_from(migration: &Migration) -> i64 {
    declared(migration).unwrap_or(migration.version)
}

fn declared(migration: &Migration) -> Option<i64> {
    let mut lines = migration.sql.as_str().lines();
    let line = lines.find_map(|line| line.strip_prefix(COMPATIBLE_FROM))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{FIRST_DECLARED, declared};

    #[test]
    fn every_migration_declares_who_can_serve_after_it() {
        let (sqlite, postgres) = (
            sqlx_macros::migrate!("../../migrations/sqlite"),
            sqlx_macros::migrate!("../../migrations/postgres"),
        );
        for migrator in [sqlite, postgres] {
            for migration in migrator.iter().filter(|one| one.version >= FIRST_DECLARED) {
                let from = declared(migration);
                assert!(
                    from.is_some_and(|from| from <= migration.version),
                    "migration {} has no line `-- compatible-from: VERSION`",
                    migration.version
                );
            }
        }
    }
}
