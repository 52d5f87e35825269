//! The members of a group commit: starts, events and ends of runs.

use std::sync::Arc;

use chrono::TimeDelta;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{
    AgentId, EventBody, HandOff, Interrupt, Message, MessageId, NodeId, Part, Principal, Run,
    RunEvent, RunId, Session, SessionId, Summary,
};

use crate::{NewSession, StoreError};

/// Receives the outcome of a write after its commit or failure. Runs on the writer's task, so it
/// must be quick.
pub type Reply<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// The session a run starts in.
#[derive(Debug, Clone)]
pub enum SessionTarget {
    /// A session that is created with the run.
    New(NewSession),
    /// An existing session.
    Existing(SessionId),
}

impl SessionTarget {
    /// The session's id.
    pub fn id(&self) -> SessionId {
        match self {
            Self::New(session) => session.id,
            Self::Existing(id) => *id,
        }
    }
}

/// The place of the message that a run answers in its session's tree.
#[derive(Debug, Clone)]
pub enum RunInput {
    /// A new message after the head.
    AfterHead,
    /// A new sibling of this message of the same session: they have one parent.
    Beside(Message),
    /// This existing message of the same session.
    Again(Message),
}

/// The client's key of a start, with which it can retry the start without a second run.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key, unique for its tenant and owner.
    pub key: String,
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// The time for which the key is kept, from now by the database's clock.
    pub lifetime: TimeDelta,
}

/// A key that has started a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// SHA-256 of the request.
    pub fingerprint: Vec<u8>,
    /// The run.
    pub run: RunId,
}

impl NewKey {
    /// The reason to refuse a start whose key is `kept` already.
    pub fn again(&self, kept: &KeptKey) -> StoreError {
        if kept.fingerprint == self.fingerprint {
            StoreError::Repeated(kept.run)
        } else {
            StoreError::KeyReused
        }
    }
}

/// The handling of a start in a busy session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfBusy {
    /// The start is refused, also while other runs are enqueued.
    Refuse,
    /// The start is refused while a run is active, and precedes enqueued runs.
    GoFirst,
    /// The start is enqueued behind the others, unless the queue is full.
    Wait {
        /// The limit of enqueued runs.
        limit: i32,
    },
}

/// A run to start, with the message that it answers.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The authenticated caller.
    pub who: Principal,
    /// The session to start in.
    pub session: SessionTarget,
    /// The run to store.
    pub run: Run,
    /// The place of the user's message.
    pub input: RunInput,
    /// The id of the user's message.
    pub message_id: MessageId,
    /// The parts of the user's message.
    pub parts: Vec<Part>,
    /// The title for a session without one.
    pub title: Option<String>,
    /// The run's first events.
    pub events: Vec<Arc<RunEvent>>,
    /// The node that executes the run.
    pub node: NodeId,
    /// The length of the node's lease, from now by the database's clock.
    pub lease: TimeDelta,
    /// The client's idempotency key.
    pub key: Option<NewKey>,
    /// The handling of the start if the session is busy.
    pub if_busy: IfBusy,
}

/// A started run with its session and message.
#[derive(Debug, Clone)]
pub struct StartedRun {
    /// The session after the message; where the run is enqueued, as it was before.
    pub session: Session,
    /// The user's message.
    pub message: Message,
    /// The run; enqueued, and without its events, if the session is busy.
    pub run: Run,
    /// The state of the session before the run.
    pub before: Rewind,
}

/// A request for an enqueued run to start.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The run's session.
    pub session: SessionId,
    /// The run.
    pub run: RunId,
    /// The user's message, which is placed in the tree.
    pub message: MessageId,
    /// The node that executes the run.
    pub node: NodeId,
}

/// The place of an enqueued run that may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The message before the run's.
    pub parent: Option<MessageId>,
    /// The place of the run's message in its branch.
    pub position: i32,
    /// The session's agent.
    pub agent: AgentId,
}

/// Events to append to a run's log.
#[derive(Debug, Clone)]
pub struct NewEvents {
    /// The run's principal.
    pub who: Principal,
    /// The node that executes the run; events of another node are refused.
    pub node: NodeId,
    /// The fence under which the node holds the run ([`Run::fence`]).
    pub fence: i64,
    /// The events, in order, after those appended before.
    pub events: Vec<Arc<RunEvent>>,
    /// The start time of a run that begins with these events.
    pub started_at: Option<Timestamp>,
    /// The interrupts that these events announce and the run waits for.
    pub awaits: Vec<Interrupt>,
    /// True if `events` follow the stored log after earlier ones could not be written.
    pub mends_log: bool,
}

impl NewEvents {
    /// True if the run's state changes together with the events.
    pub(crate) fn changes_state(&self) -> bool {
        let begins_or_waits = self.started_at.is_some() || !self.awaits.is_empty();
        begins_or_waits
            || hand_offs(&self.events).next().is_some()
            || summaries(&self.events).next().is_some()
    }
}

/// The hand-offs in these events, with their runs and times.
fn hand_offs(events: &[Arc<RunEvent>]) -> impl Iterator<Item = (RunId, &HandOff, Timestamp)> {
    events.iter().filter_map(|event| match &event.body {
        EventBody::HandedOff { handoff } => Some((event.run_id, &**handoff, event.at)),
        _ => None,
    })
}

/// The summaries in these events, with their times.
fn summaries(events: &[Arc<RunEvent>]) -> impl Iterator<Item = (&Summary, Timestamp)> {
    events.iter().filter_map(|event| match &event.body {
        EventBody::StepFinished {
            summary: Some(summary),
            ..
        } => Some((&**summary, event.at)),
        _ => None,
    })
}

/// The state of a session before a run, which a rollback restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewind {
    /// The last message of the branch before the run.
    pub head: Option<MessageId>,
    /// The length of the branch up to there.
    pub branch_length: i32,
    /// The session's agent; in an end, only if the run has handed the session to another.
    pub agent: Option<AgentId>,
}

/// A run's end.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// The run's principal.
    pub who: Principal,
    /// The run in its final state, with the model that answered.
    pub run: Run,
    /// The node that ends the run, which must hold it.
    pub node: NodeId,
    /// The answer, if it has content; becomes the session's head.
    pub message: Option<Message>,
    /// Removes the run's message and answer from the branch, if they are still its end.
    pub rewind: Option<Rewind>,
    /// The run's open interrupts, closed.
    pub closed: Vec<Interrupt>,
    /// The last events, the terminal one included.
    pub events: Vec<Arc<RunEvent>>,
    /// True if `events` are renumbered after earlier ones could not be written.
    pub mends_log: bool,
}

/// One transaction's worth of work. Within a group the starts are written first, then events, then
/// ends, which keeps the order of every run; enqueued runs start last, because an end may have made
/// room for them.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) starts: Vec<NewRun>,
    pub(crate) appends: Vec<NewEvents>,
    pub(crate) finishes: Vec<FinishedRun>,
    pub(crate) turns: Vec<TurnRequest>,
}

/// The outcomes of a group's members, in their order.
#[derive(Default)]
pub(crate) struct GroupOutcome {
    pub(crate) starts: Vec<Result<StartedRun, StoreError>>,
    pub(crate) appends: Vec<Result<(), StoreError>>,
    pub(crate) finishes: Vec<Result<(), StoreError>>,
    pub(crate) turns: Vec<Result<Turn, StoreError>>,
}

/// One row of the log: events of one run that are committed together.
pub(crate) struct LogRow<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) node: NodeId,
    /// The fence under which the node holds the run.
    pub(crate) fence: i64,
    pub(crate) run_id: RunId,
    /// True if the run's state changes together with these events.
    pub(crate) changes_state: bool,
    pub(crate) events: Vec<&'a RunEvent>,
}

impl LogRow<'_> {
    pub(crate) fn first_sequence(&self) -> u64 {
        self.events.first().map_or(0, |event| event.sequence)
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.events.last().map_or(0, |event| event.sequence)
    }
}

impl Group {
    /// The number of members.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() + self.appends.len() + self.finishes.len() + self.turns.len()
    }

    /// True if the group has only events of runs that began earlier, and so takes one statement.
    pub(crate) fn only_appends(&self) -> bool {
        self.starts.is_empty()
            && self.finishes.is_empty()
            && self.turns.is_empty()
            && !self.appends.iter().any(NewEvents::changes_state)
    }

    /// The hand-offs of all members; those of one run in order.
    pub(crate) fn hand_offs(&self) -> impl Iterator<Item = (RunId, &HandOff, Timestamp)> {
        let appends = self.appends.iter().map(|new| &new.events);
        // One that could not be written before comes with the run's end.
        let finishes = self.finishes.iter().map(|finish| &finish.events);
        appends.chain(finishes).flat_map(|events| hand_offs(events))
    }

    /// The summaries of all members.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = (&Principal, &Summary, Timestamp)> {
        let appends = self.appends.iter().map(|new| (&new.who, &new.events));
        let finishes = self.finishes.iter();
        let finishes = finishes.map(|finish| (&finish.who, &finish.events));
        appends.chain(finishes).flat_map(|(who, events)| {
            summaries(events).map(move |(summary, at)| (who, summary, at))
        })
    }

    /// The outcome of a group of events that are all written.
    pub(crate) fn all_appended(&self) -> GroupOutcome {
        GroupOutcome {
            appends: self.appends.iter().map(|_| Ok(())).collect(),
            ..GroupOutcome::default()
        }
    }

    /// The group's events as log rows, one for each run, in the order of their runs' first
    /// appearance. Only accepted starts and ends have events.
    pub(crate) fn log_rows(&self, outcome: &GroupOutcome) -> Vec<LogRow<'_>> {
        let starts = self.starts.iter().zip(&outcome.starts);
        let finishes = self.finishes.iter().zip(&outcome.finishes);
        let sources = starts
            .filter(|(_, outcome)| outcome.as_ref().is_ok_and(|started| !started.run.enqueued))
            .map(|(start, _)| {
                (
                    &start.who,
                    (start.node, start.run.fence),
                    &start.events,
                    true,
                )
            })
            .chain(self.appends.iter().map(|new| {
                (
                    &new.who,
                    (new.node, new.fence),
                    &new.events,
                    new.changes_state(),
                )
            }))
            .chain(
                finishes
                    .filter(|(_, outcome)| outcome.is_ok())
                    .map(|(finish, _)| {
                        (
                            &finish.who,
                            (finish.node, finish.run.fence),
                            &finish.events,
                            true,
                        )
                    }),
            );
        let mut rows: Vec<LogRow<'_>> = Vec::new();
        let mut row_of = std::collections::HashMap::new();
        for (who, (node, fence), events, changes_state) in sources {
            let Some(first) = events.first() else {
                continue;
            };
            let row = *row_of.entry(first.run_id).or_insert_with(|| {
                rows.push(LogRow {
                    who,
                    node,
                    fence,
                    run_id: first.run_id,
                    changes_state: false,
                    events: Vec::new(),
                });
                rows.len() - 1
            });
            if let Some(row) = rows.get_mut(row) {
                row.changes_state |= changes_state;
                row.events.extend(events.iter().map(Arc::as_ref));
            }
        }
        rows
    }
}
