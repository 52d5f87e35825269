//! What runs wait for.

use async_trait::async_trait;
use sqlx::Sqlite;

use crate::domain::time::Timestamp;
use crate::domain::{Interrupt, InterruptId, NodeId, Page, PageRequest, Principal, Run, RunId};
use crate::store::interrupts::Answers;
use crate::store::rows::{InterruptRow, all};
use crate::store::{Answered, InterruptStore, NewAnswers, RunStore, StoreError, queries};

use super::SqliteStore;

#[async_trait]
impl InterruptStore for SqliteStore {
    async fn interrupts_by_id(
        &self,
        who: &Principal,
        ids: &[InterruptId],
    ) -> Result<Vec<Interrupt>, StoreError> {
        let mut query = queries::interrupts_by_id::<Sqlite>(who, ids);
        all::<InterruptRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn open_interrupts_of(
        &self,
        who: &Principal,
        runs: &[RunId],
    ) -> Result<Vec<Interrupt>, StoreError> {
        let mut query = queries::open_interrupts_of::<Sqlite>(who, runs);
        all::<InterruptRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn open_interrupts(
        &self,
        who: &Principal,
        page: &PageRequest<InterruptId>,
    ) -> Result<Page<Interrupt>, StoreError> {
        let mut query = queries::open_interrupts::<Sqlite>(who, page);
        let rows = query.build_query_as().fetch_all(&self.reads).await?;
        Ok(Page::from_rows(page, all::<InterruptRow, _>(rows)?))
    }

    async fn resolve_interrupts(&self, new: NewAnswers) -> Result<Answered, StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        let answered = Answers::<Sqlite>(&mut transaction).write(&new).await?;
        if !answered.changed.is_empty() {
            transaction.commit().await?;
        }
        Ok(answered)
    }

    async fn claim_awaiting_run(
        &self,
        who: &Principal,
        run: RunId,
        node: NodeId,
    ) -> Result<Option<Run>, StoreError> {
        let mut claim = queries::claim_awaiting_run::<Sqlite>(who, run, node, None);
        let claimed = claim.build().execute(&self.writes).await?;
        match claimed.rows_affected() {
            0 => Ok(None),
            _ => Ok(self.runs_by_id(who, &[run]).await?.pop()),
        }
    }

    async fn expired_interrupts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Interrupt)>, StoreError> {
        let mut query = queries::expired_interrupts::<Sqlite>(now, limit);
        let rows: Vec<InterruptRow> = query.build_query_as().fetch_all(&self.reads).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), row.try_into()?)))
            .collect()
    }
}
