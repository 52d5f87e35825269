//! Statements of memories.

use sqlx::QueryBuilder;

use crate::memories::memory_id;
use crate::memories::rows::MEMORY_COLUMNS;
use talkgraph_domain::{Memory, Principal};

use crate::dialect::{Dialect, Value};
use crate::sql::{push, push_limit, push_owner};

pub(crate) fn save_memory<DB: Dialect>(who: &Principal, memory: &Memory) -> QueryBuilder<DB> {
    let mut query =
        QueryBuilder::new("INSERT INTO memories (id, tenant, owner, text, saved_at) VALUES (");
    DB::bind(&mut query, Value::Id(memory_id(who, &memory.text)));
    push(&mut query, ", ", Value::Text(&who.tenant));
    push(&mut query, ", ", Value::Text(&who.owner));
    push(&mut query, ", ", Value::Text(&memory.text));
    push(&mut query, ", ", Value::Time(memory.saved_at));
    query.push(") ON CONFLICT (id) DO UPDATE SET saved_at = excluded.saved_at");
    query
}

/// Removes all but the latest `most`.
pub(crate) fn forget_memories<DB: Dialect>(who: &Principal, most: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("DELETE FROM memories WHERE 1 = 1");
    push_owner(&mut query, "", who);
    query.push(" AND id NOT IN (SELECT id FROM memories WHERE 1 = 1");
    push_owner(&mut query, "", who);
    query.push(" ORDER BY saved_at DESC, id");
    push_limit(&mut query, i64::from(most));
    query.push(")");
    query
}

pub(crate) fn memories<DB: Dialect>(who: &Principal, limit: u32) -> QueryBuilder<DB> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(MEMORY_COLUMNS);
    query.push(" FROM memories WHERE 1 = 1");
    push_owner(&mut query, "", who);
    query.push(" ORDER BY saved_at DESC, id");
    push_limit(&mut query, i64::from(limit));
    query
}
