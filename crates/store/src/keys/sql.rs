//! Statements of idempotency keys.

use chrono::TimeDelta;
use sqlx::QueryBuilder;

use crate::deletion::digest_of_key;
use crate::{NewKey, NewRun};
use talkgraph_domain::time::now;
use talkgraph_domain::{Principal, RunId};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_owner};

const SELECT_KEYS: &str = "SELECT tenant, owner, key, fingerprint, run_id FROM idempotency_keys";

pub(crate) fn kept_key<DB: Dialect>(who: &Principal, key: &str, at: TimeDelta) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(SELECT_KEYS);
    push(&mut query, " WHERE expires_at > ", Value::FromNow(at));
    push_owner(&mut query, "", who);
    push(&mut query, " AND (key = ", Value::Text(key));
    let digest = digest_of_key(key);
    push(&mut query, " OR key = ", Value::Text(&digest));
    query.push(")");
    query
}

/// The stored keys of these starts, expired ones included.
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

/// Writes a key unless it is in use.
pub(crate) fn keep_key<DB: Dialect>(who: &Principal, key: &NewKey, run: RunId) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new(
        "INSERT INTO idempotency_keys (tenant, owner, key, fingerprint, run_id, created_at, \
         expires_at) VALUES (",
    );
    DB::bind(&mut query, Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::Text(&key.key));
    push(&mut query, ", ", Value::Bytes(&key.fingerprint));
    push(&mut query, ", ", Value::Id(run.uuid()));
    push(&mut query, ", ", Value::Time(now()));
    push(&mut query, ", ", Value::FromNow(key.lifetime));
    query.push(
        ") ON CONFLICT (tenant, owner, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
         run_id = excluded.run_id, created_at = excluded.created_at, \
         expires_at = excluded.expires_at \
         WHERE idempotency_keys.expires_at <= ",
    );
    DB::bind(&mut query, Value::FromNow(TimeDelta::zero()));
    query
}
