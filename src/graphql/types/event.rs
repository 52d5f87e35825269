//! Run events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, ID, Interface, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::agent::Agent;
use super::enums::{FinishReason, StepPurpose};
use super::interrupt::Interrupt;
use super::message::{Message, StreamPosition, ToolResultPart, json};
use super::run::{Run, RunError};
use super::sized::{Data, Text};
use super::usage::Usage;
use crate::graphql::loader::load;
use crate::graphql::{ApiError, Code, api, principal};
use talkgraph_bus::LiveRun;
use talkgraph_domain::{AgentId, EventBody, MessageId, Principal, RunId, ToolCallId};
use talkgraph_runtime::{Runner, Transcript};

/// One event of a run. `sequence` starts at 1 and increases by 1, except for events that cover
/// several sequence numbers, which have a `firstSequence`. Exactly one of `RunCompleted`,
/// `RunFailed` and `RunCancelled` is sent, as the last event.
#[derive(Interface)]
#[graphql(
    field(name = "run", ty = "Run", desc = "The run that the event belongs to."),
    field(
        name = "sequence",
        ty = "u64",
        desc = "The event's number in the run. Pass it as `after` to continue from here."
    ),
    field(name = "at", ty = "DateTime<Utc>", desc = "The time of the event.")
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

/// Per-subscription context shared by all events of one run.
#[derive(Clone)]
pub(crate) struct RunSubscription {
    /// The run, if it executes in this process.
    pub(crate) live: Option<Arc<LiveRun>>,
    /// The answer as recorded in the event log.
    pub(crate) transcript: Arc<Transcript>,
    /// The child runs looked up so far.
    children: Arc<Mutex<HashMap<RunId, RunSubscription>>>,
}

impl RunSubscription {
    /// Creates the context of a run that `who` follows.
    pub(crate) fn new(runner: &Arc<Runner>, who: Principal, run: RunId) -> Self {
        Self {
            live: runner.bus().get(run),
            transcript: runner.follow.transcript(who, run),
            children: Arc::default(),
        }
    }

    /// Returns the context of a child run. Cached, because its transcript reads forward.
    fn child(&self, ctx: &Context<'_>, run: RunId) -> Result<Self, ApiError> {
        let (runner, who) = (&api(ctx)?.runner, principal(ctx)?);
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Self::new(runner, who.clone(), run);
        Ok(children.entry(run).or_insert_with(new).clone())
    }
}

/// The fields common to all events.
pub(crate) struct Head {
    event: Arc<talkgraph_domain::RunEvent>,
    watched: RunSubscription,
}

impl Head {
    /// Returns the run; for a terminal event in its final state, without a database lookup.
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
            /// The run that the event belongs to.
            async fn run(&self) -> Run {
                self.head.run()
            }

            /// The event's number in the run, such as `42`. Pass it as `after` to continue from
            /// here.
            async fn sequence(&self) -> u64 {
                self.head.event.sequence
            }

            /// The time of the event.
            async fn at(&self) -> DateTime<Utc> {
                self.head.event.at
            }

            $($own)*
        }
    )*};
}

events! {
    /// The start of the run.
    RunStarted {} {}

    /// The start of a model call.
    StepStarted { step: u32, model: String, purpose: StepPurpose } {
        /// The step's number in the run, counted from 1.
        async fn step(&self) -> u32 {
            self.step
        }

        /// The model that is called first, as `provider/model`; `StepFinished.model` is the one
        /// that answered.
        async fn model(&self) -> &str {
            &self.model
        }

        /// The purpose of the call.
        async fn purpose(&self) -> StepPurpose {
            self.purpose
        }
    }

    /// The end of a model call.
    StepFinished {
        step: u32, finish_reason: FinishReason, model: Option<String>, usage: Option<Usage>
    } {
        /// The number of the step.
        async fn step(&self) -> u32 {
            self.step
        }

        /// The reason why the model stopped.
        async fn finish_reason(&self) -> FinishReason {
            self.finish_reason
        }

        /// The model that answered, as `provider/model`. Null in event logs that predate this
        /// field.
        async fn model(&self) -> Option<&str> {
            self.model.as_deref()
        }

        /// The usage of this step alone; null if the provider reports none.
        async fn usage(&self) -> Option<&Usage> {
            self.usage.as_ref()
        }
    }

    /// The repetition of a model call because the server that executed it stopped. Events after
    /// `discardAfter` and before this event are void: discard the deltas received in between.
    /// `TextDelta.message` needs no such handling.
    StepRestarted { step: u32, discard_after: u64 } {
        /// The number of the repeated step.
        async fn step(&self) -> u32 {
            self.step
        }

        /// The sequence of the last event that remains valid.
        async fn discard_after(&self) -> u64 {
            self.discard_after
        }
    }

    /// A part of the answer's text. Select `message { id text }` for the text so far, or only
    /// `delta` for the new part.
    TextDelta { message_id: MessageId, delta: String, end: u64 } {
        /// The new text.
        async fn delta(&self) -> Text<&str> {
            Text(&self.delta)
        }

        /// The first sequence that this event covers. Equal to `sequence`, unless adjacent deltas
        /// were merged for a slow subscriber.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }

        /// The message being written.
        async fn message(&self) -> Message {
            let place = StreamPosition {
                run: self.head.event.run_id,
                sequence: self.head.event.sequence,
                end: Some(self.end),
            };
            Message::streamed(self.message_id, place, &self.head.watched.transcript)
        }
    }

    /// A part of the model's reasoning.
    ReasoningDelta { delta: String } {
        /// The new text.
        async fn delta(&self) -> Text<&str> {
            Text(&self.delta)
        }

        /// The first sequence that this event covers; see `TextDelta`.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }
    }

    /// The start of a tool call. Its arguments follow as deltas.
    ToolCallStarted { tool_call_id: ToolCallId, name: String, message_id: MessageId } {
        /// The call's id, common to all events of the call and its parts in the message.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// The tool's name, as the model wrote it.
        async fn name(&self) -> Text<&str> {
            Text(&self.name)
        }

        /// The message being written.
        async fn message(&self) -> Message {
            let place = StreamPosition {
                run: self.head.event.run_id,
                sequence: self.head.event.sequence,
                end: None,
            };
            Message::streamed(self.message_id, place, &self.head.watched.transcript)
        }
    }

    /// A part of a tool call's arguments.
    ToolCallArgumentsDelta { tool_call_id: ToolCallId, delta: String } {
        /// The call's id.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// A piece of JSON text, cut at any position.
        async fn delta(&self) -> Text<&str> {
            Text(&self.delta)
        }
    }

    /// A progress report of a tool during a long call. Frequent reports are merged: the latest is
    /// sent, and always the last one before the result.
    ToolCallProgress { tool_call_id: ToolCallId, report: talkgraph_domain::ToolProgress } {
        /// The call's id.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// The amount of work done so far, in the tool's own units. It only increases.
        async fn progress(&self) -> f64 {
            self.report.progress
        }

        /// The total amount of work, in the same units; null if unknown.
        async fn total(&self) -> Option<f64> {
            self.report.total
        }

        /// The tool's description of its current work, if any.
        async fn message(&self) -> Option<Text<&str>> {
            self.report.message.as_deref().map(Text)
        }

        /// The first sequence that this event covers; see `TextDelta`.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }
    }

    /// The result of a tool call, as sent to the model.
    ToolCallCompleted { result: talkgraph_domain::ToolResult } {
        /// The call's id.
        async fn tool_call_id(&self) -> ID {
            self.result.tool_call_id.to_string().into()
        }

        /// The result.
        async fn result(&self) -> ToolResultPart {
            (&self.result).into()
        }
    }

    /// A hand-off to another agent, whose instructions, tools and models apply from here on. The
    /// session belongs to the new agent.
    HandedOff { handoff: Box<talkgraph_domain::HandOff> } {
        /// The agent before the hand-off.
        #[graphql(name = "fromAgent")]
        async fn agent_before(&self, ctx: &Context<'_>) -> Result<Agent> {
            agent(ctx, self.handoff.from_agent_id).await
        }

        /// The agent after the hand-off.
        async fn to_agent(&self, ctx: &Context<'_>) -> Result<Agent> {
            agent(ctx, self.handoff.to_agent_id).await
        }

        /// The id of the call that requested the hand-off.
        async fn tool_call_id(&self) -> ID {
            self.handoff.tool_call_id.to_string().into()
        }

        /// The reason, in the model's words, if it gave any.
        async fn reason(&self) -> Option<Text<&str>> {
            self.handoff.reason.as_deref().map(Text)
        }
    }

    /// An event of a child run, in which one of the agent's `agentsAsTools` works. `sequence` is
    /// the parent run's number; `event.sequence` is the child's.
    ChildRunEvent { tool_call_id: ToolCallId, event: Arc<talkgraph_domain::RunEvent> } {
        /// The id of the call that started the child run.
        async fn tool_call_id(&self) -> ID {
            self.tool_call_id.to_string().into()
        }

        /// The child's event, with the child as its `run`.
        async fn event(&self, ctx: &Context<'_>) -> Result<RunEvent> {
            let watched = self.head.watched.child(ctx, self.event.run_id)?;
            Ok(RunEvent::new(Arc::clone(&self.event), watched))
        }
    }

    /// The structured data of the answer, valid against the requested JSON Schema. Follows the text
    /// that it was parsed from.
    DataAdded { message_id: MessageId, data: String } {
        /// The answer's data.
        async fn data(&self) -> Data<Value> {
            json(&self.data)
        }

        /// The message being written.
        async fn message(&self) -> Message {
            let place = StreamPosition {
                run: self.head.event.run_id,
                sequence: self.head.event.sequence,
                end: None,
            };
            Message::streamed(self.message_id, place, &self.head.watched.transcript)
        }
    }

    /// A request that a person or the client must resolve. The run's status is AWAITING_INPUT from
    /// here on.
    InterruptRequested { interrupt: Arc<talkgraph_domain::Interrupt> } {
        /// The interrupt, as of this event.
        async fn interrupt(&self) -> Interrupt {
            Arc::clone(&self.interrupt).into()
        }
    }

    /// The resolution of an interrupt by an answer, by expiry or by the end of the run. The run
    /// continues after its last open interrupt is resolved.
    InterruptResolved { interrupt: Arc<talkgraph_domain::Interrupt> } {
        /// The interrupt with its resolution.
        async fn interrupt(&self) -> Interrupt {
            Arc::clone(&self.interrupt).into()
        }
    }

    /// The usage of the run so far.
    UsageUpdated { usage: Usage } {
        /// The sum over all steps.
        async fn usage(&self) -> &Usage {
            &self.usage
        }
    }

    /// The addition of the answer, complete or partial, to the session's history.
    MessageCompleted { message_id: MessageId } {
        /// The message.
        async fn message(&self) -> Message {
            self.head.message(self.message_id)
        }
    }

    /// The successful end of the run.
    RunCompleted { finish_reason: FinishReason } {
        /// The reason why the answer ended.
        async fn finish_reason(&self) -> FinishReason {
            self.finish_reason
        }
    }

    /// The end of the run with an error. Output written before the error is kept.
    RunFailed { error: talkgraph_domain::RunError } {
        /// The error.
        async fn error(&self) -> RunError {
            (&self.error).into()
        }
    }

    /// The end of the run by cancellation. Output written before it is kept.
    RunCancelled {} {}

    /// A placeholder for the events up to this sequence, which the server removed some time after
    /// the run ended. The events that describe the end follow; the run's messages are unchanged.
    LogCompacted {} {
        /// The first sequence that this event covers.
        async fn first_sequence(&self) -> u64 {
            self.head.event.first_sequence
        }
    }
}

async fn agent(ctx: &Context<'_>, id: AgentId) -> Result<Agent> {
    let agent = load(ctx, id).await?;
    let gone = || ApiError::new(Code::NotFound, "agent not found");
    Ok(Agent(agent.ok_or_else(gone)?))
}

impl RunEvent {
    /// A run event as a GraphQL type.
    #[expect(
        clippy::too_many_lines,
        reason = "a flat list, with an arm for each kind"
    )]
    pub(crate) fn new(event: Arc<talkgraph_domain::RunEvent>, watched: RunSubscription) -> Self {
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
