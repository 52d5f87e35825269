//! What runs wait for, and the answers.

use async_trait::async_trait;
use sqlx::{Database, Executor, FromRow, IntoArguments, QueryBuilder};

use super::StoreError;
use super::compact::RowsAffected;
use super::log_rows::encode_events;
use super::queries::{self, Dialect};
use super::rows::{InterruptRow, RunRow};
use crate::domain::time::Timestamp;
use crate::domain::{
    EventBody, Interrupt, InterruptId, NodeId, Page, PageRequest, Principal, Resolution, Run,
    RunEvent, RunId,
};

/// Answers to interrupts of one run.
#[derive(Debug, Clone)]
pub struct NewAnswers {
    /// Whose run it is.
    pub who: Principal,
    /// The run.
    pub run: RunId,
    /// The node that takes the answers, and goes on with the run after the last one.
    pub node: NodeId,
    /// Until when the node has the run then.
    pub lease_expires_at: Timestamp,
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

    /// Interrupts without an answer, at most `limit`, that have expired by `now`, with their
    /// principals.
    async fn expired_interrupts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Principal, Interrupt)>, StoreError>;
}

/// The interrupts of a run, as the transaction on this connection sees them.
pub(crate) struct Answers<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB> Answers<'_, DB>
where
    DB: Dialect + RowsAffected,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'r> RunRow: FromRow<'r, DB::Row>,
    for<'r> InterruptRow: FromRow<'r, DB::Row>,
    for<'r> (i64,): FromRow<'r, DB::Row>,
{
    /// Does what [`InterruptStore::resolve_interrupts`] says. Unless something has changed the
    /// transaction shall be given up.
    pub(crate) async fn write(&mut self, new: &NewAnswers) -> Result<Answered, StoreError> {
        // Locks the run, so that what is read from here on is not changed by others.
        let lease = Some(new.lease_expires_at);
        let claimed = self
            .run(queries::claim_awaiting_run(
                &new.who, new.run, new.node, lease,
            ))
            .await?;
        let mut interrupts = self.wanted(new).await?;
        let mut changed = Vec::new();
        for (interrupt, (_, resolution)) in interrupts.iter_mut().zip(&new.answers) {
            let is_new = interrupt.resolve(resolution.clone(), new.at);
            if is_new.map_err(|error| StoreError::Resolved(error.0))? {
                changed.push(interrupt.id);
            }
        }
        let mut answered = Answered {
            run: self.read_run(new).await?,
            interrupts,
            changed,
            resumed: false,
        };
        if answered.changed.is_empty() {
            answered.resumed = self.is_running(new).await?;
            return Ok(answered);
        }
        if claimed == 0 {
            return Err(StoreError::Conflict);
        }
        for interrupt in answered.changed() {
            self.run(queries::resolve_interrupt(interrupt)?).await?;
        }
        answered.resumed = self.open(new.run).await? == 0;
        if answered.resumed {
            let resumed = answered.run.resume();
            resumed.map_err(|error| StoreError::Internal(error.to_string()))?;
            self.run(queries::set_status(&answered.run)).await?;
        }
        let events = answered.events(new.at);
        let first = answered.run.last_sequence + 1;
        let last = answered.run.last_sequence + events.len() as u64;
        let row = encode_events(&events.iter().collect::<Vec<_>>())?;
        let log_row = queries::insert_log_row(&new.who, new.run, (first, last), &row);
        self.run(log_row).await?;
        answered.run.last_sequence = last;
        Ok(answered)
    }

    /// The interrupts that are answered, in the order of the answers.
    async fn wanted(&mut self, new: &NewAnswers) -> Result<Vec<Interrupt>, StoreError> {
        let ids: Vec<_> = new.answers.iter().map(|(id, _)| *id).collect();
        let mut query = queries::interrupts_by_id::<DB>(&new.who, &ids);
        let rows: Vec<InterruptRow> = query.build_query_as().fetch_all(&mut *self.0).await?;
        let found: Vec<Interrupt> = super::rows::all(rows)?;
        let wanted = ids.iter().map(|id| {
            let is_it = |interrupt: &&Interrupt| interrupt.id == *id && interrupt.run_id == new.run;
            found.iter().find(is_it).cloned()
        });
        wanted.collect::<Option<_>>().ok_or(StoreError::NotFound)
    }

    async fn read_run(&mut self, new: &NewAnswers) -> Result<Run, StoreError> {
        let mut query = queries::runs_by_id::<DB>(&new.who, &[new.run]);
        let row: Option<RunRow> = query.build_query_as().fetch_optional(&mut *self.0).await?;
        row.ok_or(StoreError::NotFound)?.try_into()
    }

    /// Whether the run is running and the node's own.
    async fn is_running(&mut self, new: &NewAnswers) -> Result<bool, StoreError> {
        let query = queries::count_running::<DB>(new.run, new.node);
        Ok(self.count(query).await? > 0)
    }

    /// How many interrupts of a run have no answer.
    async fn open(&mut self, run: RunId) -> Result<i64, StoreError> {
        self.count(queries::count_open_interrupts::<DB>(run)).await
    }

    async fn count(&mut self, mut query: QueryBuilder<DB>) -> Result<i64, StoreError> {
        let (count,): (i64,) = query.build_query_as().fetch_one(&mut *self.0).await?;
        Ok(count)
    }

    async fn run(&mut self, mut query: QueryBuilder<DB>) -> Result<u64, StoreError> {
        let done = query.build().execute(&mut *self.0).await?;
        Ok(DB::rows_affected(&done))
    }
}

impl Answered {
    fn changed(&self) -> impl Iterator<Item = &Interrupt> {
        let is_new = |interrupt: &&Interrupt| self.changed.contains(&interrupt.id);
        self.interrupts.iter().filter(is_new)
    }

    /// The events that tell of what has changed.
    fn events(&self, at: Timestamp) -> Vec<RunEvent> {
        let numbered = (self.run.last_sequence + 1..).zip(self.changed());
        numbered
            .map(|(sequence, interrupt)| RunEvent {
                run_id: self.run.id,
                sequence,
                first_sequence: sequence,
                at,
                body: EventBody::InterruptResolved {
                    interrupt: Box::new(interrupt.clone()),
                },
            })
            .collect()
    }
}
