//! The heartbeat: a row that no reader sees, written and removed in one transaction.

use chrono::TimeDelta;
use sqlx::QueryBuilder;

use crate::NewKey;
use crate::dialect::{Dialect, Value};
use crate::keys::sql::keep_key;
use crate::sql::{push, push_owner};
use talkgraph_domain::{Principal, RunId};

/// No API key can have this tenant.
const NO_TENANT: &str = "(heartbeat)";

/// The statements of a heartbeat, in order.
pub(crate) fn heartbeat<DB: Dialect>() -> [QueryBuilder<DB>; 2] {
    let run = RunId::new();
    let who = Principal::new(NO_TENANT, NO_TENANT, NO_TENANT);
    let key = NewKey {
        key: run.to_string(),
        fingerprint: [0; 32],
        lifetime: TimeDelta::zero(),
    };
    let written = keep_key(&who, &key, run);
    let mut removed = QueryBuilder::new("DELETE FROM idempotency_keys");
    push(&mut removed, " WHERE key = ", Value::Text(&key.key));
    push_owner(&mut removed, "", &who);
    [written, removed]
}
