//! The statements that both databases understand, but for how they take values.
//!
//! Each text depends only on which conditions it has, so that it is prepared once.

mod agents;
mod deletion;
mod files;
mod fork;
mod heartbeat;
mod interrupts;
mod keys;
mod memories;
mod messages;
mod runs;
mod sessions;
mod summaries;
mod turns;

pub(crate) use agents::*;
pub(crate) use deletion::*;
pub(crate) use files::*;
pub(crate) use fork::*;
pub(crate) use heartbeat::*;
pub(crate) use interrupts::*;
pub(crate) use keys::*;
pub(crate) use memories::*;
pub(crate) use messages::*;
pub(crate) use runs::*;
pub(crate) use sessions::*;
pub(crate) use summaries::*;
pub(crate) use turns::*;

use sqlx::QueryBuilder;
use uuid::Uuid;

use super::dialect::{Dialect, Value};
use talkgraph_domain::Principal;

/// Adds `sql` and a placeholder with its value.
fn push<DB: Dialect>(query: &mut QueryBuilder<DB>, sql: &str, value: Value<'_>) {
    query.push(sql);
    DB::bind(query, value);
}

fn push_in<DB: Dialect>(query: &mut QueryBuilder<DB>, sql: &str, ids: impl Iterator<Item = Uuid>) {
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

fn push_limit<DB: Dialect>(query: &mut QueryBuilder<DB>, limit: i64) {
    push(query, " LIMIT ", Value::Number(limit));
}
