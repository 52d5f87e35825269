//! Answers to interrupts, in one transaction of either database.

use sqlx::{Database, QueryBuilder};

use super::sql;
use super::{Answered, NewAnswers};
use crate::StoreError;
use crate::dialect::{Dialect, fetch, first, one};
use crate::interrupts::rows::InterruptRow;
use crate::log::encode_events;
use crate::rows::all;
use crate::runs::rows::RunRow;
use crate::{log, runs};
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{EventBody, Interrupt, InterruptKind, Run, RunEvent, RunId};

/// The interrupts of a run, read in the transaction of this connection.
pub(crate) struct Answers<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB: Dialect> Answers<'_, DB> {
    /// Implements [`super::InterruptStore::resolve_interrupts`]. The transaction is rolled back if
    /// nothing has changed.
    pub(crate) async fn write(&mut self, new: &NewAnswers) -> Result<Answered, StoreError> {
        if let Some(answered) = self.answer_questions(new).await? {
            return Ok(answered);
        }
        // Locks the run, so that no other transaction changes the rows read from here on.
        let lease = Some(new.lease);
        let claimed = self
            .run(sql::claim_awaiting_run(&new.who, new.run, new.node, lease))
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
            self.run(sql::resolve_interrupt(interrupt)?).await?;
        }
        answered.resumed = self.open(new.run).await? == 0;
        if answered.resumed {
            let resumed = answered.run.resume();
            resumed.map_err(|error| StoreError::Internal(error.to_string()))?;
            self.run(sql::set_status(&answered.run)).await?;
        }
        let events = answered.events(new.at);
        let first = answered.run.last_sequence + 1;
        let last = answered.run.last_sequence + events.len() as u64;
        let row = encode_events(&events.iter().collect::<Vec<_>>())?;
        let log_row = log::sql::insert_log_row(&new.who, new.run, (first, last), &row);
        self.run(log_row).await?;
        answered.run.last_sequence = last;
        Ok(answered)
    }

    /// Writes answers to questions of calls in progress: the run continues, and its node writes
    /// them to the log. None if any of them is another interrupt.
    async fn answer_questions(&mut self, new: &NewAnswers) -> Result<Option<Answered>, StoreError> {
        let mut interrupts = self.wanted(new).await?;
        let is_question = |one: &Interrupt| one.kind == InterruptKind::InputRequest;
        if !interrupts.iter().all(is_question) {
            return Ok(None);
        }
        let mut changed = Vec::new();
        for (interrupt, (_, resolution)) in interrupts.iter_mut().zip(&new.answers) {
            let is_new = interrupt.resolve(resolution.clone(), new.at);
            if is_new.map_err(|error| StoreError::Resolved(error.0))? {
                if self.run(sql::resolve_interrupt(interrupt)?).await? == 0 {
                    return Err(StoreError::Resolved(interrupt.id));
                }
                changed.push(interrupt.id);
            }
        }
        Ok(Some(Answered {
            run: self.read_run(new).await?,
            interrupts,
            changed,
            resumed: false,
        }))
    }

    /// The interrupts that are answered, in the order of the answers.
    async fn wanted(&mut self, new: &NewAnswers) -> Result<Vec<Interrupt>, StoreError> {
        let ids: Vec<_> = new.answers.iter().map(|(id, _)| *id).collect();
        let query = sql::interrupts_by_id::<DB>(&new.who, &ids);
        let rows: Vec<InterruptRow> = fetch(self.0, query).await?;
        let found: Vec<Interrupt> = all(rows)?;
        let wanted = ids.iter().map(|id| {
            let is_it = |interrupt: &&Interrupt| interrupt.id == *id && interrupt.run_id == new.run;
            found.iter().find(is_it).cloned()
        });
        wanted.collect::<Option<_>>().ok_or(StoreError::NotFound)
    }

    async fn read_run(&mut self, new: &NewAnswers) -> Result<Run, StoreError> {
        let query = runs::sql::runs_by_id::<DB>(&new.who, &[new.run]);
        let row: Option<RunRow> = first(self.0, query).await?;
        row.ok_or(StoreError::NotFound)?.try_into()
    }

    /// True if the run is running and the node holds it.
    async fn is_running(&mut self, new: &NewAnswers) -> Result<bool, StoreError> {
        let query = sql::count_running::<DB>(new.run, new.node);
        Ok(self.count(query).await? > 0)
    }

    /// The number of a run's open interrupts.
    async fn open(&mut self, run: RunId) -> Result<i64, StoreError> {
        self.count(sql::count_open_interrupts::<DB>(run)).await
    }

    async fn count(&mut self, query: QueryBuilder<DB>) -> Result<i64, StoreError> {
        let (count,): (i64,) = one(self.0, query).await?;
        Ok(count)
    }

    async fn run(&mut self, query: QueryBuilder<DB>) -> Result<u64, StoreError> {
        DB::execute(self.0, query).await
    }
}

impl Answered {
    fn changed(&self) -> impl Iterator<Item = &Interrupt> {
        let is_new = |interrupt: &&Interrupt| self.changed.contains(&interrupt.id);
        self.interrupts.iter().filter(is_new)
    }

    /// The events of the answers.
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
