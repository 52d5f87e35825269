use sqlx::QueryBuilder;

use crate::domain::Principal;
use crate::domain::time::Timestamp;
use crate::store::NewRun;

use super::{Dialect, Value, push, push_owner};

const SELECT_KEYS: &str = "SELECT tenant, owner, key, fingerprint, run_id FROM idempotency_keys";

pub(crate) fn kept_key<DB: Dialect>(
    who: &Principal,
    key: &str,
    now: Timestamp,
) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(SELECT_KEYS);
    push(&mut query, " WHERE expires_at > ", Value::Time(now));
    push_owner(&mut query, "", who);
    push(&mut query, " AND key = ", Value::Text(key));
    query
}

/// What the keys of these starts stand for, whether expired or not.
pub(crate) fn kept_keys<DB: Dialect>(starts: &[&NewRun]) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(SELECT_KEYS);
    let mut word = " WHERE (";
    for start in starts {
        let Some(key) = &start.key else { continue };
        push(&mut query, word, Value::Text(&key.key));
        query.push(" = key");
        push_owner(&mut query, "", &start.who);
        query.push(")");
        word = " OR (";
    }
    query
}
