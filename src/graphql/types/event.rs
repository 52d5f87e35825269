//! Run events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, ID, Interface, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::agent::Agent;
use super::enums::{FinishReason, StepPurpose};
use super::interrupt::Interrupt;
use super::message::{Message, StreamPlace, ToolResultPart, json};
use super::run::{Run, RunError};
use super::sized::{Data, Text};
use super::usage::Usage;
use crate::graphql::loader::load;
use crate::graphql::{ApiError, Code, api, principal};
use talkgraph_bus::LiveRun;
use talkgraph_domain::{AgentId, EventBody, MessageId, Principal, RunId, ToolCallId};
use talkgraph_runtime::{Runner, Transcript};

/// One event of a run. `sequence` starts at 1 and has no holes, but for events that stand for
/// several, whose `firstSequence` tells; exactly one of `RunCompleted`, `RunFailed` and
/// `RunCancelled` comes, and it comes last.
#[derive(Interface)]
#[graphql(
    field(name = "run", ty = "Run", desc = "The run it belongs to."),
    field(
        name = "sequence",
        ty = "u64",
        desc = "Its number in the run: give it as `after` to go on from here."
    ),
    field(name = "at", ty = "DateTime<Utc>", desc = "When it happened.")
)]
pub(crate) enum RunEvent {
    RunStarted(RunStarted),
    StepStarted(StepStarted),
    StepFinished(StepFinished),
    StepRestarted(StepRestarted),
    TextDelta(TextDelta),
    ReasoningDelta(ReasoningDelta),
    ToolCallStarted(ToolCallStarted),
    ToolCallArgumentsDelta(ToolCallArgumentsDelta),
    ToolCallProgress(ToolCallProgress),
    ToolCallCompleted(ToolCallCompleted),
    HandedOff(HandedOff),
    ChildRunEvent(ChildRunEvent),
    DataAdded(DataAdded),
    InterruptRequested(InterruptRequested),
    InterruptResolved(InterruptResolved),
    UsageUpdated(UsageUpdated),
    MessageCompleted(MessageCompleted),
    RunCompleted(RunCompleted),
    RunFailed(RunFailed),
    RunCancelled(RunCancelled),
    LogCompacted(LogCompacted),
}

/// What is known of a followed run beside its events.
#[derive(Clone)]
pub(crate) struct Watched {
    /// The run, if it is made in this process.
    pub(crate) live: Option<Arc<LiveRun>>,
    /// Its answer as its log tells it.
    pub(crate) transcript: Arc<Transcript>,
    /// The runs that it has asked for, as far as they were looked at.
    children: Arc<Mutex<HashMap<RunId, Watched>>>,
}

impl Watched {
    /// A run of `who`.
    pub(crate) fn new(runner: &Arc<Runner>, who: Principal, run: RunId) -> Self {
        Self {
            live: runner.bus().get(run),
            transcript: runner.follow.transcript(who, run),
            children: Arc::default(),
        }
    }

    /// A run that this one has asked for. Looked up once, as its transcript reads forward.
    fn child(&self, ctx: &Context<'_>, run: RunId) -> Result<Self, ApiError> {
        let (runner, who) = (&api(ctx)?.runner, principal(ctx)?);
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Self::new(runner, who.clone(), run);
        Ok(children.entry(run).or_insert_with(new).clone())
    }
}

/// What all events have.
pub(crate) struct Head {
    event: Arc<talkgraph_domain::RunEvent>,
    watched: Watched,
}

impl Head {
    /// The run; in a terminal event as it ended, without another look at the database.
    fn run(&self) -> Run {
        let outcome = self.watched.live.as_ref().and_then(|live| live.outcome());
        match outcome.filter(|_| self.event.body.is_terminal()) {
            Some(outcome) => Run::loaded(Arc::new(outcome.run.clone())),
            None => Run::by_id(self.event.run_id),
        }
    }

    fn message(&self, id: MessageId) -> Message {
        let outcome = self.watched.live.as_ref().and_then(|live| live.outcome());
        match outcome.and_then(|outcome| outcome.message.clone()) {
            Some(message) => Message::stored(Arc::new(message)),
            None => Message::by_id(id),
        }
    }
}

macro_rules! events {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($field:ident: $type:ty),* } { $($own:tt)* }
    )*) => {$(
        pub(crate) struct $name {
            head: Head,
            $($field: $type,)*
        }

        $(#[$doc])*
        #[Object]
        impl $name {
            /// The run it belongs to.
            async fn run(&self) -> Run {
                self.head.run()
            }

            /// Its number in the run: give it as `after` to go on from here.
            async fn sequence(&self) -> u64 {
                self.head.event.sequence
            }

            /// When it happened.
            async fn at(&self) -> DateTime<Utc> {
                self.head.event.at
            }

            $($own)*
        }
    )*};
}

events! {
    /// The run began.
    RunStarted {} {}

    /// A model call began.
    StepStarted { step: u32, model: String, purpose: StepPurpose } {
        /// Counts up from 1.
        async fn step(&self) -> u32 {
            self.step
        }

        /// The model that is called first, as `provider/model`; `StepFinished.model` answered.
        async fn model(&self) -> &str {
            &self.model
        }

        /// What it is for.
        async fn purpose(&self) -> StepPurpose {
            self.purpose
        }
    }

    /// A model call ended.
    StepFinished {
        step: u32, finish_reason: FinishReason, model: Option<String>, usage: Option<Usage>
    } {
        /// The step that ended.
        async fn step(&self) -> u32 {
            self.step
        }

        /// Why the model stopped.
        async fn finish_reason(&self) -> FinishReason {
            self.finish_reason
        }

        /// The model that answered, as `provider/model`: of several, the first that gave a first
        /// token. Null in logs from before it was written down.
        async fn model(&self) -> Option<&str> {
            self.model.as_deref()
        }

        /// What this step alone has used; null where its provider has not told.
        async fn usage(&self) -> Option<&Usage> {
            self.usage.as_ref()
        }
    }

    /// A model call is made again, because the server that made it stopped half-way. All that
    /// came after `discardAfter` and before this event no longer counts: forget the pieces that
    /// you have put together since then. `TextDelta.message` needs no such care.
    StepRestarted { step: u32, discard_after: u64 } {
        /// The step that is made again.
        async fn step(&self) -> u32 {
            self.step
        }

        /// The sequence of the last event that still counts.
        async fn discard_after(&self) -> u64 {
            self.discard_after
        }
    }

    /// A piece of the answer. Select `message { id text }` for the text so far, or only
    /// `delta` for the piece.
    TextDelta { message_id: MessageId, delta: String, end: u64 } {
        /// The new text.
        async fn delta(&self) -> Text<&str> {
            Text(&self.delta)
        }

        /// The first sequence this event stands for. Equal to `sequence`, unless adjacent
        /// pieces were merged for a subscriber that fell behind.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }

        /// The message being written.
        async fn message(&self) -> Message {
            let place = StreamPlace {
                run: self.head.event.run_id,
                sequence: self.head.event.sequence,
                end: Some(self.end),
            };
            Message::streamed(self.message_id, place, &self.head.watched.transcript)
        }
    }

    /// A piece of the model's reasoning.
    ReasoningDelta { delta: String } {
        /// The new text.
        async fn delta(&self) -> Text<&str> {
            Text(&self.delta)
        }

        /// The first sequence this event stands for; see `TextDelta`.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }
    }

    /// The model calls a tool; its arguments follow as they come.
    ToolCallStarted { tool_call_id: ToolCallId, name: String, message_id: MessageId } {
        /// The call's id; all events of the call, and its parts in the message, have it.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// The tool's name, as the model says it.
        async fn name(&self) -> Text<&str> {
            Text(&self.name)
        }

        /// The message being written.
        async fn message(&self) -> Message {
            let place = StreamPlace {
                run: self.head.event.run_id,
                sequence: self.head.event.sequence,
                end: None,
            };
            Message::streamed(self.message_id, place, &self.head.watched.transcript)
        }
    }

    /// A piece of the arguments of a call.
    ToolCallArgumentsDelta { tool_call_id: ToolCallId, delta: String } {
        /// The call's id.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// JSON text, cut anywhere.
        async fn delta(&self) -> Text<&str> {
            Text(&self.delta)
        }
    }

    /// A tool reports how far it is with a call that takes long. Not every report is an event: of
    /// several in a short time the latest is, and the last one before the result always.
    ToolCallProgress { tool_call_id: ToolCallId, report: talkgraph_domain::ToolProgress } {
        /// The call's id.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// The work done so far, in units of the tool's own. It increases.
        async fn progress(&self) -> f64 {
            self.report.progress
        }

        /// All of the work, in the same units; null where the tool does not know it.
        async fn total(&self) -> Option<f64> {
            self.report.total
        }

        /// The tool's words on what it does now, if it has any.
        async fn message(&self) -> Option<Text<&str>> {
            self.report.message.as_deref().map(Text)
        }

        /// The first sequence this event stands for; see `TextDelta`.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }
    }

    /// A call has come to its result, which the model is told.
    ToolCallCompleted { result: talkgraph_domain::ToolResult } {
        /// The call's id.
        async fn tool_call_id(&self) -> ID {
            self.result.tool_call_id.to_string().into()
        }

        /// What it came to.
        async fn result(&self) -> ToolResultPart {
            (&self.result).into()
        }
    }

    /// Another agent goes on with the run: its instructions, tools and models count from here on,
    /// and the session is with it.
    HandedOff { handoff: Box<talkgraph_domain::HandOff> } {
        /// The agent that had the conversation.
        #[graphql(name = "fromAgent")]
        async fn agent_before(&self, ctx: &Context<'_>) -> Result<Agent> {
            agent(ctx, self.handoff.from_agent_id).await
        }

        /// The agent that has it from here on.
        async fn to_agent(&self, ctx: &Context<'_>) -> Result<Agent> {
            agent(ctx, self.handoff.to_agent_id).await
        }

        /// The call with which the model asked for it.
        async fn tool_call_id(&self) -> ID {
            self.handoff.tool_call_id.to_string().into()
        }

        /// Why, in the model's words, if it gave any.
        async fn reason(&self) -> Option<Text<&str>> {
            self.handoff.reason.as_deref().map(Text)
        }
    }

    /// Something has happened in a run that this one has asked for: one of its agent's
    /// `agentsAsTools` is at work. `sequence` is this run's own, `event.sequence` the child's.
    ChildRunEvent { tool_call_id: ToolCallId, event: Arc<talkgraph_domain::RunEvent> } {
        /// The call that asks.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// What has happened, with the child as its `run`.
        async fn event(&self, ctx: &Context<'_>) -> Result<RunEvent> {
            let watched = self.head.watched.child(ctx, self.event.run_id)?;
            Ok(RunEvent::new(Arc::clone(&self.event), watched))
        }
    }

    /// The answer has come to its data, which is valid against the JSON Schema that it was
    /// asked for. Comes after the text that it was read from.
    DataAdded { message_id: MessageId, data: String } {
        /// What the answer says.
        async fn data(&self) -> Data<Value> {
            json(&self.data)
        }

        /// The message being written.
        async fn message(&self) -> Message {
            let place = StreamPlace {
                run: self.head.event.run_id,
                sequence: self.head.event.sequence,
                end: None,
            };
            Message::streamed(self.message_id, place, &self.head.watched.transcript)
        }
    }

    /// The run waits for a person or the client: its status is AWAITING_INPUT from here on.
    InterruptRequested { interrupt: Arc<talkgraph_domain::Interrupt> } {
        /// What it waits for, as of this event.
        async fn interrupt(&self) -> Interrupt {
            Arc::clone(&self.interrupt).into()
        }
    }

    /// An interrupt was answered, has expired or was closed. With the last one that was open
    /// the run goes on.
    InterruptResolved { interrupt: Arc<talkgraph_domain::Interrupt> } {
        /// The interrupt with its resolution.
        async fn interrupt(&self) -> Interrupt {
            Arc::clone(&self.interrupt).into()
        }
    }

    /// What the run has used so far.
    UsageUpdated { usage: Usage } {
        /// The sum over all steps.
        async fn usage(&self) -> &Usage {
            &self.usage
        }
    }

    /// The answer, or as much of it as there is, became part of the session's history.
    MessageCompleted { message_id: MessageId } {
        /// The message.
        async fn message(&self) -> Message {
            self.head.message(self.message_id)
        }
    }

    /// The run ended with an answer.
    RunCompleted { finish_reason: FinishReason } {
        /// Why the answer ended.
        async fn finish_reason(&self) -> FinishReason {
            self.finish_reason
        }
    }

    /// The run ended with an error. What was written before is kept.
    RunFailed { error: talkgraph_domain::RunError } {
        /// Why.
        async fn error(&self) -> RunError {
            (&self.error).into()
        }
    }

    /// The run was stopped on request. What was written before is kept.
    RunCancelled {} {}

    /// Stands for the events up to this sequence, which the server has removed some time after
    /// the run's end. Those that tell how it ended follow; its messages are what they were.
    LogCompacted {} {
        /// The first sequence this event stands for.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }
    }
}

async fn agent(ctx: &Context<'_>, id: AgentId) -> Result<Agent> {
    let agent = load(ctx, id).await?;
    let gone = || ApiError::new(Code::NotFound, "the agent is gone");
    Ok(Agent(agent.ok_or_else(gone)?))
}

impl RunEvent {
    /// An event as GraphQL sees it.
    #[expect(
        clippy::too_many_lines,
        reason = "a flat list, with an arm for each kind"
    )]
    pub(crate) fn new(event: Arc<talkgraph_domain::RunEvent>, watched: Watched) -> Self {
        let body = event.body.clone();
        let head = Head { event, watched };
        match body {
            EventBody::RunStarted => Self::RunStarted(RunStarted { head }),
            EventBody::StepStarted {
                step,
                model,
                purpose,
            } => Self::StepStarted(StepStarted {
                head,
                step,
                model,
                purpose: purpose.into(),
            }),
            EventBody::StepFinished {
                step,
                finish_reason,
                model,
                usage,
                cost,
                ..
            } => Self::StepFinished(StepFinished {
                head,
                step,
                finish_reason: finish_reason.into(),
                model,
                usage: usage.map(|usage| Usage::new(usage, cost)),
            }),
            EventBody::StepRestarted {
                step,
                discard_after,
            } => Self::StepRestarted(StepRestarted {
                head,
                step,
                discard_after,
            }),
            EventBody::TextDelta {
                message_id,
                delta,
                end,
            } => Self::TextDelta(TextDelta {
                head,
                message_id,
                delta,
                end,
            }),
            EventBody::ReasoningDelta { delta, .. } => {
                Self::ReasoningDelta(ReasoningDelta { head, delta })
            }
            EventBody::ToolCallStarted {
                message_id,
                tool_call_id,
                name,
            } => Self::ToolCallStarted(ToolCallStarted {
                head,
                tool_call_id,
                name,
                message_id,
            }),
            EventBody::ToolCallArgumentsDelta {
                tool_call_id,
                delta,
            } => Self::ToolCallArgumentsDelta(ToolCallArgumentsDelta {
                head,
                tool_call_id,
                delta,
            }),
            EventBody::ToolCallProgress {
                tool_call_id,
                progress: report,
            } => Self::ToolCallProgress(ToolCallProgress {
                head,
                tool_call_id,
                report,
            }),
            EventBody::ToolCallCompleted { result } => {
                Self::ToolCallCompleted(ToolCallCompleted { head, result })
            }
            EventBody::HandedOff { handoff } => Self::HandedOff(HandedOff { head, handoff }),
            EventBody::ChildRunEvent {
                tool_call_id,
                event,
            } => {
                let event = Arc::new(*event);
                Self::ChildRunEvent(ChildRunEvent {
                    head,
                    tool_call_id,
                    event,
                })
            }
            EventBody::DataAdded { message_id, data } => Self::DataAdded(DataAdded {
                head,
                message_id,
                data,
            }),
            EventBody::InterruptRequested { interrupt } => {
                let interrupt = Arc::new(*interrupt);
                Self::InterruptRequested(InterruptRequested { head, interrupt })
            }
            EventBody::InterruptResolved { interrupt } => {
                let interrupt = Arc::new(*interrupt);
                Self::InterruptResolved(InterruptResolved { head, interrupt })
            }
            EventBody::UsageUpdated { usage, cost } => Self::UsageUpdated(UsageUpdated {
                head,
                usage: Usage::new(usage, cost),
            }),
            EventBody::MessageCompleted { message_id } => {
                Self::MessageCompleted(MessageCompleted { head, message_id })
            }
            EventBody::RunCompleted { finish_reason } => Self::RunCompleted(RunCompleted {
                head,
                finish_reason: finish_reason.into(),
            }),
            EventBody::RunFailed { error } => Self::RunFailed(RunFailed { head, error }),
            EventBody::RunCancelled => Self::RunCancelled(RunCancelled { head }),
            EventBody::LogCompacted => Self::LogCompacted(LogCompacted { head }),
        }
    }
}
