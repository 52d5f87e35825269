//! Stretches of branches.

use sqlx::{Postgres, QueryBuilder};

use crate::domain::Principal;
use crate::store::rows::MESSAGE_COLUMNS;
use crate::store::{BranchRange, queries};

/// The rows of stretches of branches, each branch oldest first.
pub(super) fn branches(who: &Principal, ranges: &[BranchRange]) -> QueryBuilder<Postgres> {
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
    queries::push_walk(&mut query, who, "");
    query.push(" SELECT w.branch, ").push(MESSAGE_COLUMNS);
    query.push(" FROM walk w JOIN messages m ON m.id = w.id WHERE w.position < w.high");
    queries::push_owner(&mut query, "m.", who);
    query.push(" ORDER BY w.branch, w.position");
    query
}
