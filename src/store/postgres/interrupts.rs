//! What runs wait for.

use async_trait::async_trait;
use sqlx::Postgres;

use crate::domain::time::Timestamp;
use crate::domain::{Interrupt, InterruptId, NodeId, Page, PageRequest, Principal, Run, RunId};
use crate::store::interrupts::Answers;
use crate::store::rows::{InterruptRow, all};
use crate::store::{Answered, InterruptStore, NewAnswers, RunStore, StoreError, queries};

use super::PostgresStore;

#[async_trait]
impl InterruptStore for PostgresStore {
    async fn interrupts_by_id(
        &self,
        who: &Principal,
        ids: &[InterruptId],
    ) -> Result<Vec<Interrupt>, StoreError> {
        let mut query = queries::interrupts_by_id::<Postgres>(who, ids);
        let rows = query.build_query_as().fetch_all(&self.pool);
        all::<InterruptRow, _>(self.patience.wait(rows).await?)
    }

    async fn open_interrupts_of(
        &self,
        who: &Principal,
        runs: &[RunId],
    ) -> Result<Vec<Interrupt>, StoreError> {
        let mut query = queries::open_interrupts_of::<Postgres>(who, runs);
        let rows = query.build_query_as().fetch_all(&self.pool);
        all::<InterruptRow, _>(self.patience.wait(rows).await?)
    }

    async fn open_interrupts(
        &self,
        who: &Principal,
        page: &PageRequest<InterruptId>,
    ) -> Result<Page<Interrupt>, StoreError> {
        let mut query = queries::open_interrupts::<Postgres>(who, page);
        let rows = query.build_query_as().fetch_all(&self.pool);
        let rows = self.patience.wait(rows).await?;
        Ok(Page::from_rows(page, all::<InterruptRow, _>(rows)?))
    }

    async fn resolve_interrupts(&self, new: NewAnswers) -> Result<Answered, StoreError> {
        let written = async {
            let mut transaction = self.pool.begin().await?;
            let answered = Answers::<Postgres>(&mut transaction).write(&new).await?;
            if !answered.changed.is_empty() {
                transaction.commit().await?;
            }
            Ok::<_, StoreError>(answered)
        };
        self.patience.wait(written).await
    }

    async fn claim_awaiting_run(
        &self,
        who: &Principal,
        run: RunId,
        node: NodeId,
    ) -> Result<Option<Run>, StoreError> {
        let mut claim = queries::claim_awaiting_run::<Postgres>(who, run, node, None);
        let claimed = self
            .patience
            .wait(claim.build().execute(&self.pool))
            .await?;
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
        let mut query = queries::expired_interrupts::<Postgres>(now, limit);
        let rows = query.build_query_as().fetch_all(&self.pool);
        let rows: Vec<InterruptRow> = self.patience.wait(rows).await?;
        rows.into_iter()
            .map(|row| Ok((row.principal(), row.try_into()?)))
            .collect()
    }
}
