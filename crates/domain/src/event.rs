//! Run events: the ordered log of a run, which subscribers follow.

use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::handoff::HandOff;
use super::ids::{MessageId, RunId, ToolCallId};
use super::interrupt::Interrupt;
use super::result::ToolResult;
use super::run::{FinishReason, RunError, Usage};
use super::summary::Summary;
use super::time::Timestamp;

/// One event of a run. `sequence` starts at 1 and has no holes; exactly one terminal
/// event is written, always last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    /// The run it belongs to.
    pub run_id: RunId,
    /// Its number in the run's log.
    pub sequence: u64,
    /// The first sequence that it covers: its own, unless adjacent pieces were merged for a slow
    /// subscriber, or the log was compacted.
    pub first_sequence: u64,
    /// Time of the event.
    pub at: Timestamp,
    /// The kind of event and its data.
    pub body: EventBody,
}

/// The kind of a run event and its data. Its text form is the name of the GraphQL type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(
    tag = "type",
    rename_all_fields = "camelCase",
    try_from = "AnyEventBody"
)]
pub enum EventBody {
    /// The run began.
    RunStarted,
    /// A model call began.
    StepStarted {
        /// Counts up from 1.
        step: u32,
        /// The called model, as `provider/model`.
        model: String,
        /// The purpose of the call.
        #[serde(default, skip_serializing_if = "StepPurpose::is_answer")]
        purpose: StepPurpose,
    },
    /// A model call ended.
    StepFinished {
        /// The step that ended.
        step: u32,
        /// The reason why the model stopped.
        finish_reason: FinishReason,
        /// The model that answered, as `provider/model`; none in logs of earlier releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The tokens used by the step, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// The cost of the step, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
        /// The summary, if the step was for one and succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<Box<Summary>>,
    },
    /// A model call is repeated because its server died during it. The events after `discard_after`
    /// and before this one are void.
    StepRestarted {
        /// The step that is repeated.
        step: u32,
        /// The sequence of that step's [`EventBody::StepStarted`].
        discard_after: u64,
    },
    /// A piece of the answer.
    TextDelta {
        /// The message being written.
        message_id: MessageId,
        /// The new text.
        delta: String,
        /// The length of the message's text with this piece, in bytes of UTF-8.
        end: u64,
    },
    /// A piece of the model's reasoning.
    ReasoningDelta {
        /// The message being written.
        message_id: MessageId,
        /// The new text.
        delta: String,
        /// The signature that ends the reasoning and is sent back to the vendor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// The model calls a tool; its arguments follow.
    ToolCallStarted {
        /// The message being written.
        message_id: MessageId,
        /// The call.
        tool_call_id: ToolCallId,
        /// The tool's name, as the model wrote it.
        name: String,
    },
    /// A piece of the arguments of a call.
    ToolCallArgumentsDelta {
        /// The call.
        tool_call_id: ToolCallId,
        /// JSON text, cut anywhere.
        delta: String,
    },
    /// A tool reports its progress with a call.
    ToolCallProgress {
        /// The call.
        tool_call_id: ToolCallId,
        /// The latest of the reports since the event before.
        #[serde(flatten)]
        progress: ToolProgress,
    },
    /// A tool call has ended.
    ToolCallCompleted {
        /// Its result.
        result: ToolResult,
    },
    /// Another agent continues the run, and has the session from then on.
    HandedOff {
        /// The agents, the session and the reason.
        handoff: Box<HandOff>,
    },
    /// An event of a child run.
    ChildRunEvent {
        /// The call that started the child run.
        tool_call_id: ToolCallId,
        /// The event, as it is in the child's own log.
        event: Box<RunEvent>,
    },
    /// The answer has its data, which is valid against the requested schema.
    DataAdded {
        /// The message being written.
        message_id: MessageId,
        /// JSON text.
        data: String,
    },
    /// The run waits for a person or the client.
    InterruptRequested {
        /// The interrupt.
        interrupt: Box<Interrupt>,
    },
    /// An interrupt was resolved, has expired or was closed.
    InterruptResolved {
        /// The interrupt, with its resolution.
        interrupt: Box<Interrupt>,
    },
    /// The total usage so far.
    UsageUpdated {
        /// The sum over all steps.
        usage: Usage,
        /// The cost of it, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
    },
    /// The answer is complete and part of the session's history.
    MessageCompleted {
        /// The message.
        message_id: MessageId,
    },
    /// The run ended with an answer. Terminal.
    RunCompleted {
        /// The reason why the answer ended.
        finish_reason: FinishReason,
    },
    /// The run ended with an error. Terminal.
    RunFailed {
        /// The reason of the failure.
        error: RunError,
    },
    /// The run was cancelled. Terminal.
    RunCancelled,
    /// Replaces all events up to this sequence, which were removed some time after the run's end.
    /// The events that record how it ended follow.
    LogCompacted,
}

/// A report of a tool on the progress of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolProgress {
    /// The amount of work done so far, in units of the tool's choice.
    pub progress: f64,
    /// The total amount of work, if the tool knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// The tool's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The purpose of a model call.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum StepPurpose {
    /// Writes the answer, or a part of it.
    #[default]
    Answer,
    /// Repeats the step before it, whose answer did not have the requested form. That step's text
    /// is void.
    Repair,
    /// Summarises the messages that the model is no longer shown. Writes nothing of the answer.
    Summary,
}

impl StepPurpose {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    fn is_answer(&self) -> bool {
        *self == Self::Answer
    }
}

/// Estimated bytes of a piece in the log in addition to its text: adjacent pieces are joined.
const PIECE_BYTES: u64 = 16;

impl EventBody {
    /// The estimated size in the log, in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::TextDelta { delta, .. }
            | Self::ReasoningDelta { delta, .. }
            | Self::ToolCallArgumentsDelta { delta, .. } => PIECE_BYTES + delta.len() as u64,
            Self::ChildRunEvent { event, .. } => PIECE_BYTES + event.body.bytes(),
            body => serde_json::to_vec(body).map_or(PIECE_BYTES, |text| text.len() as u64),
        }
    }

    /// Returns true for the last event of a run.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::RunCompleted { .. } | Self::RunFailed { .. } | Self::RunCancelled
        )
    }
}

/// The fields of all events. Serde buffers the alternatives of a tagged type first, which costs
/// three times as much; a log has many events.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyEventBody {
    r#type: EventKind,
    step: Option<u32>,
    model: Option<String>,
    message_id: Option<MessageId>,
    delta: Option<String>,
    end: Option<u64>,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    cost: Option<Cost>,
    error: Option<RunError>,
    discard_after: Option<u64>,
    signature: Option<String>,
    tool_call_id: Option<ToolCallId>,
    name: Option<String>,
    result: Option<ToolResult>,
    #[serde(default)]
    purpose: StepPurpose,
    data: Option<String>,
    interrupt: Option<Box<Interrupt>>,
    handoff: Option<Box<HandOff>>,
    event: Option<Box<RunEvent>>,
    summary: Option<Box<Summary>>,
    progress: Option<f64>,
    total: Option<f64>,
    message: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
enum EventKind {
    RunStarted,
    StepStarted,
    StepFinished,
    StepRestarted,
    TextDelta,
    ReasoningDelta,
    ToolCallStarted,
    ToolCallArgumentsDelta,
    ToolCallProgress,
    ToolCallCompleted,
    HandedOff,
    ChildRunEvent,
    DataAdded,
    InterruptRequested,
    InterruptResolved,
    UsageUpdated,
    MessageCompleted,
    RunCompleted,
    RunFailed,
    RunCancelled,
    LogCompacted,
}

impl TryFrom<AnyEventBody> for EventBody {
    type Error = &'static str;

    fn try_from(any: AnyEventBody) -> Result<Self, &'static str> {
        Self::of(any).ok_or("an event lacks a field")
    }
}

impl EventBody {
    fn of(any: AnyEventBody) -> Option<Self> {
        Some(match any.r#type {
            EventKind::RunStarted => Self::RunStarted,
            EventKind::StepStarted => Self::StepStarted {
                step: any.step?,
                model: any.model?,
                purpose: any.purpose,
            },
            EventKind::StepFinished => Self::StepFinished {
                step: any.step?,
                finish_reason: any.finish_reason?,
                model: any.model,
                usage: any.usage,
                cost: any.cost,
                summary: any.summary,
            },
            EventKind::StepRestarted => Self::StepRestarted {
                step: any.step?,
                discard_after: any.discard_after?,
            },
            EventKind::TextDelta => Self::TextDelta {
                message_id: any.message_id?,
                delta: any.delta?,
                end: any.end?,
            },
            EventKind::ReasoningDelta => Self::ReasoningDelta {
                message_id: any.message_id?,
                delta: any.delta?,
                signature: any.signature,
            },
            EventKind::ToolCallStarted => Self::ToolCallStarted {
                message_id: any.message_id?,
                tool_call_id: any.tool_call_id?,
                name: any.name?,
            },
            EventKind::ToolCallArgumentsDelta => Self::ToolCallArgumentsDelta {
                tool_call_id: any.tool_call_id?,
                delta: any.delta?,
            },
            EventKind::ToolCallProgress => Self::ToolCallProgress {
                tool_call_id: any.tool_call_id?,
                progress: ToolProgress {
                    progress: any.progress?,
                    total: any.total,
                    message: any.message,
                },
            },
            EventKind::ToolCallCompleted => Self::ToolCallCompleted {
                result: any.result?,
            },
            EventKind::HandedOff => Self::HandedOff {
                handoff: any.handoff?,
            },
            EventKind::ChildRunEvent => Self::ChildRunEvent {
                tool_call_id: any.tool_call_id?,
                event: any.event?,
            },
            EventKind::DataAdded => Self::DataAdded {
                message_id: any.message_id?,
                data: any.data?,
            },
            EventKind::InterruptRequested => Self::InterruptRequested {
                interrupt: any.interrupt?,
            },
            EventKind::InterruptResolved => Self::InterruptResolved {
                interrupt: any.interrupt?,
            },
            EventKind::UsageUpdated => Self::UsageUpdated {
                usage: any.usage?,
                cost: any.cost,
            },
            EventKind::MessageCompleted => Self::MessageCompleted {
                message_id: any.message_id?,
            },
            EventKind::RunCompleted => Self::RunCompleted {
                finish_reason: any.finish_reason?,
            },
            EventKind::RunFailed => Self::RunFailed { error: any.error? },
            EventKind::RunCancelled => Self::RunCancelled,
            EventKind::LogCompacted => Self::LogCompacted,
        })
    }
}
