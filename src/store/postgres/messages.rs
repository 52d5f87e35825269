//! Messages, alone and by branch.

use async_trait::async_trait;
use sqlx::{Postgres, QueryBuilder};

use crate::domain::{Message, MessageId, Principal};
use crate::store::rows::{BranchRow, KinRow, MESSAGE_COLUMNS, MessageRow, all, by_branch, by_kin};
use crate::store::{BranchRange, Kin, MessageStore, StoreError, queries};

use super::PostgresStore;

#[async_trait]
impl MessageStore for PostgresStore {
    async fn messages_by_id(
        &self,
        who: &Principal,
        ids: &[MessageId],
    ) -> Result<Vec<Message>, StoreError> {
        let mut query = queries::messages_by_id::<Postgres>(who, ids);
        all::<MessageRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }

    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
    ) -> Result<Vec<Vec<Message>>, StoreError> {
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
        let rows: Vec<BranchRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        by_branch(rows, ranges.len())
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
        let mut query = queries::kin::<Postgres>(who, kin, limit);
        let rows: Vec<KinRow> = self
            .patience
            .wait(query.build_query_as().fetch_all(&self.pool))
            .await?;
        Ok(by_kin(rows, kin))
    }
}
