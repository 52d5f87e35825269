//! Messages, alone and by branch.

use async_trait::async_trait;
use sqlx::{FromRow, QueryBuilder};

use crate::domain::{Message, MessageId, Principal};
use crate::store::rows::{MESSAGE_COLUMNS, MessageRow, all};
use crate::store::{BranchRange, MessageStore, StoreError};

use super::{SqliteStore, push_ids, push_owner};

#[derive(FromRow)]
struct RangeRow {
    range: i64,
    #[sqlx(flatten)]
    message: MessageRow,
}

#[async_trait]
impl MessageStore for SqliteStore {
    async fn messages_by_id(
        &self,
        who: &Principal,
        ids: &[MessageId],
    ) -> Result<Vec<Message>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(MESSAGE_COLUMNS);
        query.push(" FROM messages m JOIN sessions s ON s.id = m.session_id");
        query.push(" WHERE s.deleted_at IS NULL");
        push_owner(&mut query, "m.", who);
        query.push(" AND m.id IN ");
        push_ids(&mut query, ids.iter().map(MessageId::uuid));
        all::<MessageRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
    ) -> Result<Vec<Vec<Message>>, StoreError> {
        let mut query = QueryBuilder::new("WITH RECURSIVE wanted (range, head, low, high) AS (");
        query.push_values(ranges.iter().enumerate(), |mut row, (index, range)| {
            row.push_bind(i64::try_from(index).unwrap_or(i64::MAX))
                .push_bind(range.head.uuid())
                .push_bind(range.from)
                .push_bind(range.to);
        });
        // From each head up to the first position wanted; only ids go through the recursion.
        query.push(
            "), branch (range, id, parent_id, position, low, high) AS (
               SELECT w.range, m.id, m.parent_id, m.position, w.low, w.high
               FROM wanted w JOIN messages m ON m.id = w.head WHERE m.position >= w.low",
        );
        push_owner(&mut query, "m.", who);
        query.push(
            " UNION ALL
               SELECT b.range, m.id, m.parent_id, m.position, b.low, b.high
               FROM branch b JOIN messages m ON m.id = b.parent_id WHERE b.position > b.low
             ) SELECT b.range, ",
        );
        query.push(MESSAGE_COLUMNS);
        query.push(" FROM branch b JOIN messages m ON m.id = b.id WHERE b.position < b.high");
        push_owner(&mut query, "m.", who);
        query.push(" ORDER BY b.range, b.position");
        let rows: Vec<RangeRow> = query.build_query_as().fetch_all(&self.reads).await?;
        let mut branches = vec![Vec::new(); ranges.len()];
        for row in rows {
            let branch = usize::try_from(row.range)
                .ok()
                .and_then(|at| branches.get_mut(at));
            if let Some(branch) = branch {
                branch.push(Message::try_from(row.message)?);
            }
        }
        Ok(branches)
    }
}
