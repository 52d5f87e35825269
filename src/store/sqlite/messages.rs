//! Messages, alone and by branch.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Sqlite};

use crate::domain::{Message, MessageId, Principal};
use crate::store::rows::{KinRow, MessageRow, WholeBranchRow, all, by_kin, whole_branches};
use crate::store::{BranchRange, Kin, MessageStore, StoreError, queries};

use super::SqliteStore;

/// A message as one value. A row comes from the connection's thread by itself, with a change of
/// threads there and back, and each of its columns is copied twice; for a page of messages
/// that costs more than finding them.
const MESSAGE_JSON: &str = "json_array(hex(m.id), hex(m.session_id), \
    CASE WHEN m.parent_id IS NOT NULL THEN hex(m.parent_id) END, m.position, m.role, \
    hex(m.run_id), json(m.parts), m.finish_reason, m.created_at)";

#[async_trait]
impl MessageStore for SqliteStore {
    async fn messages_by_id(
        &self,
        who: &Principal,
        ids: &[MessageId],
    ) -> Result<Vec<Message>, StoreError> {
        let mut query = queries::messages_by_id::<Sqlite>(who, ids);
        all::<MessageRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
    ) -> Result<Vec<Vec<Message>>, StoreError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new("WITH RECURSIVE wanted (branch, head, low, high) AS (");
        query.push_values(ranges.iter().enumerate(), |mut row, (index, range)| {
            row.push_bind(i64::try_from(index).unwrap_or(i64::MAX))
                .push_bind(range.head.uuid())
                .push_bind(range.from)
                .push_bind(range.to);
        });
        query.push(")");
        let columns = format!("json_group_array({MESSAGE_JSON} ORDER BY w.position) AS messages");
        queries::push_branches(&mut query, who, &columns);
        query.push(" GROUP BY w.branch");
        let rows: Vec<WholeBranchRow> = query.build_query_as().fetch_all(&self.reads).await?;
        whole_branches(rows, ranges.len())
    }

    async fn kin(
        &self,
        who: &Principal,
        kin: &[Kin],
        limit: u32,
    ) -> Result<Vec<Vec<MessageId>>, StoreError> {
        if kin.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = queries::kin::<Sqlite>(who, kin, limit);
        let rows: Vec<KinRow> = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(by_kin(rows, kin))
    }
}
