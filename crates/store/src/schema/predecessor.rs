//! Databases of builds from before the baseline, whose migrations led to the same schema.

use std::collections::HashMap;

use sqlx::migrate::Migration;
use sqlx::{Connection, QueryBuilder};

use super::SchemaError;
use crate::StoreError;
use crate::dialect::{Dialect, Value};

/// The last migration of those builds, which completes the schema.
const LAST: i64 = 36;

/// True if the database has the whole schema of those builds, so that its record of migrations can
/// be replaced by the baseline.
///
/// # Errors
/// [`SchemaError::BeforeBaseline`] if it has only a part.
pub(super) fn is_complete<DB: Dialect>(
    applied: &HashMap<i64, Vec<u8>>,
    baseline: &Migration,
) -> Result<bool, SchemaError> {
    let first = applied.get(&baseline.version);
    if first.is_none_or(|checksum| *checksum != DB::PREDECESSOR) {
        return Ok(false);
    }
    match applied.contains_key(&LAST) {
        true => Ok(true),
        false => Err(SchemaError::BeforeBaseline(LAST)),
    }
}

/// Replaces the record of migrations by the baseline.
pub(super) async fn adopt<DB: Dialect>(
    connection: &mut DB::Connection,
    baseline: &Migration,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    let mut query = QueryBuilder::new("UPDATE _sqlx_migrations SET description = ");
    DB::bind(&mut query, Value::Text(&baseline.description));
    query.push(", checksum = ");
    DB::bind(&mut query, Value::Bytes(&baseline.checksum));
    query.push(" WHERE version = ");
    DB::bind(&mut query, Value::Number(baseline.version));
    query.push(" AND checksum = ");
    DB::bind(&mut query, Value::Bytes(DB::PREDECESSOR));
    // Of several processes that open the database, the first does it.
    if DB::execute(&mut transaction, query).await? == 1 {
        for statement in [
            "DELETE FROM _sqlx_migrations WHERE version > 1",
            "DELETE FROM schema_releases",
        ] {
            DB::execute(&mut transaction, QueryBuilder::new(statement)).await?;
        }
    }
    Ok(transaction.commit().await?)
}
