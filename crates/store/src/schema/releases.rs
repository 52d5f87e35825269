//! The record of the releases that have applied migrations.

use sqlx::QueryBuilder;
use sqlx::migrate::Migration;

use super::{RELEASE, has_table};
use crate::StoreError;
use crate::dialect::{Dialect, Value, fetch};
use talkgraph_domain::time::now;

/// The line of a migration's file with the version that a release has to know at least to serve
/// the database after that migration.
const COMPATIBLE_FROM: &str = "-- compatible-from: ";

/// A release's record of a migration.
pub(super) struct Release {
    pub(super) release: String,
    pub(super) compatible_from: i64,
}

/// All records with the versions of their migrations; none in a database without the table.
pub(super) async fn read<DB: Dialect>(
    connection: &mut DB::Connection,
) -> Result<Vec<(i64, Release)>, StoreError> {
    if !has_table::<DB>(connection, "schema_releases").await? {
        return Ok(Vec::new());
    }
    let query = QueryBuilder::new("SELECT version, release, compatible_from FROM schema_releases");
    let rows: Vec<(i64, String, i64)> = fetch::<DB, _>(connection, query).await?;
    let record = |(version, release, compatible_from)| {
        let release = Release {
            release,
            compatible_from,
        };
        (version, release)
    };
    Ok(rows.into_iter().map(record).collect())
}

/// Records that this release has applied migrations.
pub(super) async fn record<DB: Dialect>(
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

/// The version that a release has to know to serve the database after a migration: the
/// migration's own unless it declares another.
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
    use super::declared;

    #[test]
    fn every_migration_declares_its_compatible_releases() {
        let (sqlite, postgres) = (
            sqlx_macros::migrate!("../../migrations/sqlite"),
            sqlx_macros::migrate!("../../migrations/postgres"),
        );
        for migrator in [sqlite, postgres] {
            for migration in migrator.iter() {
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
