//! Interrupts: the answers that runs wait for.

mod answers;
pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;
use chrono::TimeDelta;

use super::StoreError;
use super::pools::Pools;
use crate::interrupts::rows::InterruptRow;
use crate::rows::{all, owned};
use crate::runs;
use crate::runs::rows::RunRow;
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{
    Interrupt, InterruptId, NodeId, Page, PageRequest, Principal, Resolution, Run, RunId,
};

use answers::Answers;

/// Answers to interrupts of one run.
#[derive(Debug, Clone)]
pub struct NewAnswers {
    /// The run's principal.
    pub who: Principal,
    /// The run.
    pub run: RunId,
    /// The node that receives the answers, and continues the run after the last one.
    pub node: NodeId,
    /// The length of the node's lease of the run, from now by the database's clock.
    pub lease: TimeDelta,
    /// The answers, each to a different interrupt.
    pub answers: Vec<(InterruptId, Resolution)>,
    /// The time of the answers.
    pub at: Timestamp,
}

/// The outcome of answers.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The run after the answers.
    pub run: Run,
    /// The interrupts that were answered, in the order of the answers.
    pub interrupts: Vec<Interrupt>,
    /// The interrupts among them that were open before.
    pub changed: Vec<InterruptId>,
    /// True if the run is running and the node holds it: no interrupt is open, because of these
    /// answers or because they were stored before.
    pub resumed: bool,
}

/// Interrupts. They are created by [`super::EventLog::append_events`] with the state of their run,
/// and those without an answer are closed by [`super::RunStore::finish_run`]. Those of deleted
/// sessions are never returned.
#[async_trait]
pub trait InterruptStore: Send + Sync {
    /// The interrupts with these ids, answered ones included, in no particular order.
    async fn interrupts_by_id(
        &self,
        who: &Principal,
        ids: &[InterruptId],
    ) -> Result<Vec<Interrupt>, StoreError>;

    /// The open interrupts of these runs, oldest first.
    async fn open_interrupts_of(
        &self,
        who: &Principal,
        runs: &[RunId],
    ) -> Result<Vec<Interrupt>, StoreError>;

    /// The open interrupts of a principal, oldest first.
    async fn open_interrupts(
        &self,
        who: &Principal,
        page: &PageRequest<InterruptId>,
    ) -> Result<Page<Interrupt>, StoreError>;

    /// Writes answers with their events, all or nothing; after the last one the run is running and
    /// the node holds it. Repeated equal answers change nothing. `NotFound` if the principal's run
    /// has no such interrupt, `Resolved` if one has another answer.
    async fn resolve_interrupts(&self, new: NewAnswers) -> Result<Answered, StoreError>;

    /// Assigns a run that waits for answers to the node, which may then end it. `None` if it does
    /// not wait.
    async fn claim_awaiting_run(
        &self,
        who: &Principal,
        run: RunId,
        node: NodeId,
    ) -> Result<Option<Run>, StoreError>;

    /// Interrupts without an answer, at most `limit`, that have expired at the time `at` from now,
    /// by the database's clock, with their principals.
    async fn expired_interrupts(
        &self,
        at: TimeDelta,
        limit: u32,
    ) -> Result<Vec<(Principal, Interrupt)>, StoreError>;
}

#[async_trait]
impl<S: Pools> InterruptStore for S {
    async fn interrupts_by_id(
        &self,
        who: &Principal,
        ids: &[InterruptId],
    ) -> Result<Vec<Interrupt>, StoreError> {
        all::<InterruptRow, _>(self.read(sql::interrupts_by_id(who, ids)).await?)
    }

    async fn open_interrupts_of(
        &self,
        who: &Principal,
        runs: &[RunId],
    ) -> Result<Vec<Interrupt>, StoreError> {
        all::<InterruptRow, _>(self.read(sql::open_interrupts_of(who, runs)).await?)
    }

    async fn open_interrupts(
        &self,
        who: &Principal,
        page: &PageRequest<InterruptId>,
    ) -> Result<Page<Interrupt>, StoreError> {
        let rows = self.read(sql::open_interrupts(who, page)).await?;
        Ok(Page::from_rows(page, all::<InterruptRow, _>(rows)?))
    }

    async fn resolve_interrupts(&self, new: NewAnswers) -> Result<Answered, StoreError> {
        let written = async {
            let mut transaction = self.begin().await?;
            let answered = Answers::<S::Db>(&mut transaction).write(&new).await?;
            if !answered.changed.is_empty() {
                transaction.commit().await?;
            }
            Ok(answered)
        };
        self.in_time(written).await
    }

    async fn claim_awaiting_run(
        &self,
        who: &Principal,
        run: RunId,
        node: NodeId,
    ) -> Result<Option<Run>, StoreError> {
        let claimed = self.execute(sql::claim_awaiting_run(who, run, node, None));
        if claimed.await? == 0 {
            return Ok(None);
        }
        let rows = self.read(runs::sql::runs_by_id(who, &[run])).await?;
        Ok(all::<RunRow, _>(rows)?.pop())
    }

    async fn expired_interrupts(
        &self,
        at: TimeDelta,
        limit: u32,
    ) -> Result<Vec<(Principal, Interrupt)>, StoreError> {
        owned::<InterruptRow, _>(self.read(sql::expired_interrupts(at, limit)).await?)
    }
}
