//! Parts of statements that both databases understand, except for the placeholders.
//!
//! A text depends only on its conditions, not on values, so that it is prepared once.

use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Dialect, Value};
use talkgraph_domain::Principal;

/// Adds `sql` and a placeholder with its value.
pub(crate) fn push<DB: Dialect>(query: &mut QueryBuilder<DB>, sql: &str, value: Value<'_>) {
    query.push(sql);
    DB::bind(query, value);
}

pub(crate) fn push_in<DB: Dialect>(
    query: &mut QueryBuilder<DB>,
    sql: &str,
    ids: impl Iterator<Item = Uuid>,
) {
    query.push(sql);
    DB::bind_in(query, ids);
}

/// Adds `AND <prefix>tenant = … AND <prefix>owner = …`.
pub(crate) fn push_owner<DB: Dialect>(query: &mut QueryBuilder<DB>, prefix: &str, who: &Principal) {
    query.push(" AND ").push(prefix);
    push(query, "tenant = ", Value::Text(&who.tenant));
    query.push(" AND ").push(prefix);
    push(query, "owner = ", Value::Text(&who.owner));
}

pub(crate) fn push_limit<DB: Dialect>(query: &mut QueryBuilder<DB>, limit: i64) {
    push(query, " LIMIT ", Value::Number(limit));
}
