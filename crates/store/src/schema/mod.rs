//! The check of the database's schema at start: its applied and its missing migrations, and the
//! compatibility of those that this release does not know. With nothing to migrate it only reads.

mod error;
mod predecessor;
mod releases;

use std::collections::{HashMap, HashSet};

use sqlx::QueryBuilder;
use sqlx::migrate::{Migrate, Migration, Migrator};

use self::error::SchemaError;
use self::releases::Release;
use super::StoreError;
use super::dialect::{Dialect, Value, one};

/// This release.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// sqlx's table of applied migrations.
const APPLIED: &str = "_sqlx_migrations";

/// Applies missing migrations if `may_migrate` is true, and checks that this release can serve the
/// database.
pub(crate) async fn prepare<DB: Dialect>(
    connection: &mut DB::Connection,
    known: &Migrator,
    may_migrate: bool,
) -> Result<(), StoreError>
where
    DB::Connection: Migrate,
{
    let mut schema = Schema::<DB>::read(connection, known).await?;
    if let Some(baseline) = schema.predecessor()? {
        if !may_migrate {
            return Err(SchemaError::Pending {
                count: 1,
                first: baseline.version,
            }
            .into());
        }
        predecessor::adopt::<DB>(connection, baseline).await?;
        schema = Schema::read(connection, known).await?;
    }
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
    releases::record::<DB>(connection, &missing).await
}

/// Applies the missing migrations. Several processes that do so at the same time take turns.
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
        schema.releases = releases::read::<DB>(connection)
            .await?
            .into_iter()
            .collect();
        Ok(schema)
    }

    /// The baseline, if it is to replace the record of the builds before it.
    fn predecessor(&self) -> Result<Option<&'m Migration>, SchemaError> {
        let Some(baseline) = self.known.iter().next() else {
            return Ok(None);
        };
        if self.unfinished.is_some() {
            return Ok(None);
        }
        let is_complete = predecessor::is_complete::<DB>(&self.applied, baseline)?;
        Ok(is_complete.then_some(baseline))
    }

    /// Refuses a database that this release cannot serve.
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

    /// Logs that the database was migrated by a newer release.
    fn announce(&self) {
        let last = self.unknown().pop();
        if let Some(record) = last.and_then(|version| self.releases.get(&version)) {
            tracing::info!(
                release = record.release,
                "database migrated by a newer release, which declares this one compatible"
            );
        }
    }

    /// Applied migrations without a record: those of this start, or of a process that died before
    /// it wrote one.
    fn unrecorded(&self) -> Vec<&'m Migration> {
        let is_unrecorded = |one: &&Migration| {
            self.applied.contains_key(&one.version) && !self.releases.contains_key(&one.version)
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
