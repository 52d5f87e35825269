//! What is written in groups: the starts, events and ends of runs.

use std::sync::Arc;

use chrono::TimeDelta;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{
    AgentId, EventBody, HandOff, Interrupt, Message, MessageId, NodeId, Part, Principal, Run,
    RunEvent, RunId, Session, SessionId, Summary,
};

use crate::{NewSession, StoreError};

/// Is told the outcome of a write once it is committed or has failed. Runs on the writer's
/// task, so it must be quick.
pub type Reply<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// The session a run starts in.
#[derive(Debug, Clone)]
pub enum SessionTarget {
    /// One that is made with the run.
    New(NewSession),
    /// One that is there.
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

/// Where in its session's tree of messages the message is that a run answers.
#[derive(Debug, Clone)]
pub enum RunInput {
    /// It is new and follows the head.
    AfterHead,
    /// It is new and stands beside this one of the same session: they have one parent.
    Beside(Message),
    /// It is this one of the same session, which is there already.
    Again(Message),
}

/// What a client calls a start, so that it can send it again without a second run.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key, unique for its tenant and owner.
    pub key: String,
    /// SHA-256 of what is asked for.
    pub fingerprint: [u8; 32],
    /// The time for which the key is kept, from now by the database's clock.
    pub lifetime: TimeDelta,
}

/// A key that has started a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// SHA-256 of what was asked for.
    pub fingerprint: Vec<u8>,
    /// The run.
    pub run: RunId,
}

impl NewKey {
    /// Why a start is refused whose key is `kept` already.
    pub fn again(&self, kept: &KeptKey) -> StoreError {
        if kept.fingerprint == self.fingerprint {
            StoreError::Repeated(kept.run)
        } else {
            StoreError::KeyReused
        }
    }
}

/// What becomes of a start whose session is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfBusy {
    /// It is refused, also while others wait for their turn.
    Refuse,
    /// It is refused while a run is active, and goes before those that wait.
    GoFirst,
    /// It waits for its turn behind the others, unless so many wait already.
    Wait {
        /// How many may wait.
        limit: i32,
    },
}

/// A run to be started, with the message that asks for it.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Who asks.
    pub who: Principal,
    /// Where.
    pub session: SessionTarget,
    /// The run as it shall be stored.
    pub run: Run,
    /// Where the user's message is.
    pub input: RunInput,
    /// The id of the user's message.
    pub message_id: MessageId,
    /// What the user says.
    pub parts: Vec<Part>,
    /// The title the session gets if it has none.
    pub title: Option<String>,
    /// The run's first events.
    pub events: Vec<Arc<RunEvent>>,
    /// The node that will make the run.
    pub node: NodeId,
    /// For how long the node has it, from now by the database's clock.
    pub lease: TimeDelta,
    /// The client's key for it.
    pub key: Option<NewKey>,
    /// What becomes of it if its session is busy.
    pub if_busy: IfBusy,
}

/// A started run with what was stored beside it.
#[derive(Debug, Clone)]
pub struct StartedRun {
    /// The session after the message; where the run is enqueued, as it was before.
    pub session: Session,
    /// The user's message.
    pub message: Message,
    /// The run; enqueued, and without its events, if it has to wait.
    pub run: Run,
    /// How the session was before it.
    pub before: Rewind,
}

/// An enqueued run that asks for its turn.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The run's session.
    pub session: SessionId,
    /// The run.
    pub run: RunId,
    /// The user's message, which gets its place in the tree.
    pub message: MessageId,
    /// The node that makes the run.
    pub node: NodeId,
}

/// The place that an enqueued run has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The message before the run's.
    pub parent: Option<MessageId>,
    /// The place of the run's message in its branch.
    pub position: i32,
    /// The agent that has the session.
    pub agent: AgentId,
}

/// Events to be added to a run's log.
#[derive(Debug, Clone)]
pub struct NewEvents {
    /// The run's principal.
    pub who: Principal,
    /// The node that makes the run; what another one appends is refused.
    pub node: NodeId,
    /// The number under which the node has the run ([`Run::fence`]).
    pub fence: i64,
    /// The events, in order, following what was appended before.
    pub events: Vec<Arc<RunEvent>>,
    /// When the run begins with these events: it becomes running at this time.
    pub started_at: Option<Timestamp>,
    /// What the run waits for from these events on, which announce it.
    pub awaits: Vec<Interrupt>,
    /// Whether `events` follow what the log was found to have, after earlier ones could not
    /// be written.
    pub mends_log: bool,
}

impl NewEvents {
    /// Whether the run's state changes together with the events.
    pub(crate) fn changes_state(&self) -> bool {
        let begins_or_waits = self.started_at.is_some() || !self.awaits.is_empty();
        begins_or_waits
            || hand_offs(&self.events).next().is_some()
            || summaries(&self.events).next().is_some()
    }
}

/// The hand-offs that these events tell of, with their runs and times.
fn hand_offs(events: &[Arc<RunEvent>]) -> impl Iterator<Item = (RunId, &HandOff, Timestamp)> {
    events.iter().filter_map(|event| match &event.body {
        EventBody::HandedOff { handoff } => Some((event.run_id, &**handoff, event.at)),
        _ => None,
    })
}

/// The summaries that these events tell of, with their times.
fn summaries(events: &[Arc<RunEvent>]) -> impl Iterator<Item = (&Summary, Timestamp)> {
    events.iter().filter_map(|event| match &event.body {
        EventBody::StepFinished {
            summary: Some(summary),
            ..
        } => Some((&**summary, event.at)),
        _ => None,
    })
}

/// How a session was before a run, to which it goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewind {
    /// The last message of the branch, as it was before the run.
    pub head: Option<MessageId>,
    /// The length of the branch up to there.
    pub branch_length: i32,
    /// The agent that had the session; of an end, only where the run has handed it to another.
    pub agent: Option<AgentId>,
}

/// A run's end.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// The run's principal.
    pub who: Principal,
    /// The run in its final state, with the model that answered.
    pub run: Run,
    /// The node that ends it, which must be the one that has it.
    pub node: NodeId,
    /// The answer, when there is any text to keep; becomes the session's head.
    pub message: Option<Message>,
    /// Takes the run's message and answer out of the branch, if they are still its end.
    pub rewind: Option<Rewind>,
    /// What it has waited for, closed: nobody is asked any more.
    pub closed: Vec<Interrupt>,
    /// The last events, the terminal one included.
    pub events: Vec<Arc<RunEvent>>,
    /// Whether `events` are numbered anew, after earlier ones could not be written.
    pub mends_log: bool,
}

/// One transaction's worth of work. Within a group the starts are written first, then
/// events, then ends, which keeps the order of every single run; what asks for its turn comes
/// last, because an end may have made room for it.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) starts: Vec<NewRun>,
    pub(crate) appends: Vec<NewEvents>,
    pub(crate) finishes: Vec<FinishedRun>,
    pub(crate) turns: Vec<TurnRequest>,
}

/// What became of a group's members, in their order.
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
    /// The number under which the node has the run.
    pub(crate) fence: i64,
    pub(crate) run_id: RunId,
    /// Whether the run's state changes together with these events.
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
    /// How many members it has.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() + self.appends.len() + self.finishes.len() + self.turns.len()
    }

    /// Whether the group has nothing but events of runs that began earlier, and so takes
    /// only one statement.
    pub(crate) fn only_appends(&self) -> bool {
        self.starts.is_empty()
            && self.finishes.is_empty()
            && self.turns.is_empty()
            && !self.appends.iter().any(NewEvents::changes_state)
    }

    /// The hand-offs of the group, whichever write tells of them; those of one run in order.
    pub(crate) fn hand_offs(&self) -> impl Iterator<Item = (RunId, &HandOff, Timestamp)> {
        let appends = self.appends.iter().map(|new| &new.events);
        // One that could not be written before comes with the run's end.
        let finishes = self.finishes.iter().map(|finish| &finish.events);
        appends.chain(finishes).flat_map(|events| hand_offs(events))
    }

    /// The summaries of the group, whichever write tells of them.
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
    /// appearance. `accepted` tells which starts were accepted, `ended` which ends.
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
