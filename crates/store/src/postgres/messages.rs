//! Ranges of branches.

use futures_util::TryStreamExt;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row};

use super::pooler::has_names;
use crate::messages;
use crate::messages::rows::{BranchRow, MESSAGE_COLUMNS};
use crate::sql::push_owner;
use crate::{BranchRange, StoreError, UNCOUNTED, wanted};
use talkgraph_domain::Principal;

/// Reads ranges of branches row by row, and stops when their parts have more than `most` bytes.
pub(super) async fn read_branches(
    connection: &mut PgConnection,
    who: &Principal,
    ranges: &[BranchRange],
    most: u64,
) -> Result<Vec<BranchRow>, StoreError> {
    let mut query = branches(who, ranges);
    let most_bytes = match wanted(ranges) > UNCOUNTED {
        true => most,
        false => u64::MAX,
    };
    let (mut read, mut bytes) = (Vec::new(), 0_u64);
    let mut rows = query.build().persistent(has_names()).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let parts = row.try_get_raw("parts")?.as_bytes();
        bytes += parts.map_or(0, |parts| parts.len() as u64);
        if bytes > most_bytes {
            return Err(StoreError::TooLarge(most));
        }
        read.push(BranchRow::from_row(&row)?);
    }
    Ok(read)
}

/// The rows of ranges of branches, each branch oldest first.
fn branches(who: &Principal, ranges: &[BranchRange]) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "WITH RECURSIVE wanted (branch, head, low, high) AS (
           SELECT n - 1, head, low, high FROM UNNEST(",
    );
    let mut columns = query.separated(", ");
    columns
        .push_bind(ranges.iter().map(|r| r.head.uuid()).collect::<Vec<_>>())
        .push_bind(ranges.iter().map(|r| r.from).collect::<Vec<_>>())
        .push_bind(ranges.iter().map(|r| r.to).collect::<Vec<_>>());
    query.push(") WITH ORDINALITY AS w (head, low, high, n))");
    messages::sql::push_walk(&mut query, who, "");
    query.push(" SELECT w.branch, ").push(MESSAGE_COLUMNS);
    query.push(" FROM walk w JOIN messages m ON m.id = w.id WHERE w.position < w.high");
    push_owner(&mut query, "m.", who);
    query.push(" ORDER BY w.branch, w.position");
    query
}
