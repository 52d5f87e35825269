//! A page of sessions.

use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use crate::sessions;
use crate::sessions::rows::SessionRow;
use crate::{SessionCursor, SessionFilter, StoreError};
use talkgraph_domain::{PageRequest, Principal};

/// A session as JSON, an array of [`crate::sessions::rows::session_columns`]: a page is read as one
/// value, as messages are.
const SESSION_JSON: &str = "json_array(hex(id), hex(agent_id), nullif(hex(parent_run_id), ''), \
    title, json(metadata), nullif(hex(head_message_id), ''), branch_length, enqueued_runs, turns, \
    created_at, updated_at, deleted_at, nullif(hex(active_run_id), ''), active_last_sequence)";

/// Reads a page of sessions.
pub(super) async fn read_page(
    pool: &SqlitePool,
    who: &Principal,
    filter: &SessionFilter,
    page: &PageRequest<SessionCursor>,
) -> Result<Vec<SessionRow>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT json_group_array(");
    query.push(SESSION_JSON).push(" ORDER BY updated_at ");
    let direction = if page.from_end { "ASC" } else { "DESC" };
    query.push(direction).push(", id ").push(direction);
    query.push(") FROM (");
    sessions::sql::push_sessions(&mut query, who, filter, page);
    query.push(")");
    let rows: Json<Vec<SessionRow>> = query.build_query_scalar().fetch_one(pool).await?;
    Ok(rows.0)
}
