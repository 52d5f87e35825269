//! What runs wait for, and the answers.

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
    /// Whose run it is.
    pub who: Principal,
    /// The run.
    pub run: RunId,
    /// The node that takes the answers, and goes on with the run after the last one.
    pub node: NodeId,
    /// For how long the node has the run then, from now by the database's clock.
    pub lease: TimeDelta,
    /// The answers, each to another interrupt.
    pub answers: Vec<(InterruptId, Resolution)>,
    /// When they came.
    pub at: Timestamp,
}

/// What answers have come to.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The run as it is then.
    pub run: Run,
    /// The interrupts that were answered, in the order of the answers.
    pub interrupts: Vec<Interrupt>,
    /// Those of them that had no answer before.
    pub changed: Vec<InterruptId>,
    /// Whether the run is running and the node's own: nothing is waited for any more, because
    /// of these answers or because they were there already.
    pub resumed: bool,
}

/// Interrupts. They are made by [`super::EventLog::append_events`] with the state of their run,
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

    /// What these runs wait for, oldest first.
    async fn open_interrupts_of(
        &self,
        who: &Principal,
        runs: &[RunId],
    ) -> Result<Vec<Interrupt>, StoreError>;

    /// What the runs of a principal wait for, oldest first.
    async fn open_interrupts(
        &self,
        who: &Principal,
        page: &PageRequest<InterruptId>,
    ) -> Result<Page<Interrupt>, StoreError>;

    /// Writes answers with the events that tell of them, all or nothing; after the last one
    /// the run is running and the node's own. The same answers again change nothing.
    /// `NotFound` when the principal's run has no such interrupt, `Resolved` when one has
    /// another answer.
    async fn resolve_interrupts(&self, new: NewAnswers) -> Result<Answered, StoreError>;

    /// Makes a run that waits for answers the node's own, which may end it then. `None` when
    /// it does not wait (any more).
    async fn claim_awaiting_run(
        &self,
        who: &Principal,
        run: RunId,
        node: NodeId,
    ) -> Result<Option<Run>, StoreError>;

    /// Interrupts without an answer, at most `limit`, that have expired `at` so long from now, by
    /// the database's clock, with their principals.
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
