//! Interrupts of runs.

#![allow(
    clippy::duplicated_attributes,
    reason = "fields of an interface may have one type"
)]

use std::sync::Arc;

use async_graphql::{Enum, ID, Interface, Object, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::message::json;
use super::run::Run;
use super::sized::{Data, Text};
use talkgraph_domain::{InterruptKind, Resolution, Resolved};

/// A request that a run waits for; answered with `resolveInterrupts`. The run is AWAITING_INPUT
/// while one of its interrupts is open and continues after the last answer. With an InputRequest it
/// stays RUNNING, because the tool call continues.
#[derive(Interface)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The interrupt's global id."),
    field(name = "run", ty = "Run", desc = "The run that waits."),
    field(name = "tool_name", ty = "&str", desc = "The tool's name."),
    field(
        name = "tool_call_id",
        ty = "ID",
        desc = "The call's id, common to its events and its parts in the message."
    ),
    field(
        name = "arguments",
        ty = "Data<&Value>",
        desc = "The arguments as the model wrote them, checked against the tool's schema."
    ),
    field(
        name = "input",
        ty = "Data<&Value>",
        desc = "The arguments as a value, equal to `ToolCallPart.input`."
    ),
    field(
        name = "created_at",
        ty = "DateTime<Utc>",
        desc = "The time from which the run waits."
    ),
    field(
        name = "expires_at",
        ty = "DateTime<Utc>",
        desc = "The time at which the interrupt expires. The model is informed of the expiry."
    ),
    field(
        name = "resolution",
        ty = "Option<InterruptResolution>",
        desc = "The resolution; null while the interrupt is open."
    )
)]
pub(crate) enum Interrupt {
    ToolApproval(ToolApproval),
    ClientToolCall(ClientToolCall),
    InputRequest(InputRequest),
}

impl From<Arc<talkgraph_domain::Interrupt>> for Interrupt {
    fn from(interrupt: Arc<talkgraph_domain::Interrupt>) -> Self {
        match interrupt.kind {
            InterruptKind::ToolApproval => Self::ToolApproval(ToolApproval(interrupt)),
            InterruptKind::ClientToolCall => Self::ClientToolCall(ClientToolCall(interrupt)),
            InterruptKind::InputRequest => Self::InputRequest(InputRequest(interrupt)),
        }
    }
}

macro_rules! interrupts {
    ($($(#[$doc:meta])* $name:ident { $($more:tt)* })*) => {$(
        pub(crate) struct $name(pub(crate) Arc<talkgraph_domain::Interrupt>);

        $(#[$doc])*
        #[Object]
        impl $name {
            /// The interrupt's global id, such as `int_01jq4w0dn9e5rb6c3v8s2h7k4m`.
            pub(crate) async fn id(&self) -> ID {
                self.0.id.to_string().into()
            }

            /// The run that waits.
            async fn run(&self) -> Run {
                Run::by_id(self.0.run_id)
            }

            /// The tool's name.
            async fn tool_name(&self) -> &str {
                &self.0.tool
            }

            /// The call's id, common to its events and its parts in the message.
            async fn tool_call_id(&self) -> ID {
                self.0.tool_call_id.to_string().into()
            }

            /// The arguments as the model wrote them, checked against the tool's schema.
            async fn arguments(&self) -> Data<&Value> {
                Data(&self.0.arguments)
            }

            /// The arguments as a value, equal to `ToolCallPart.input`.
            async fn input(&self) -> Data<&Value> {
                Data(&self.0.arguments)
            }

            /// The time from which the run waits.
            async fn created_at(&self) -> DateTime<Utc> {
                self.0.created_at
            }

            /// The time at which the interrupt expires. The model is informed of the expiry.
            async fn expires_at(&self) -> DateTime<Utc> {
                self.0.expires_at
            }

            /// The resolution; null while the interrupt is open.
            async fn resolution(&self) -> Option<InterruptResolution> {
                self.0.resolution.as_ref().map(InterruptResolution::from)
            }

            $($more)*
        }
    )*};
}

interrupts! {
    /// A call of a server tool that a person must approve before it is executed. Resolve it with
    /// `approve` or `reject`.
    ToolApproval {}

    /// A call of a tool that the client provides (`ChatInput.clientTools`). Resolve it with
    /// `result`, or with `reject`.
    ClientToolCall {}

    /// A question of a tool's server to the person during a call. Resolve it with `answer`. The run
    /// and the call continue meanwhile, with the call's time limit paused.
    InputRequest {
        /// The question for the person.
        async fn message(&self) -> Text<&str> {
            Text(self.0.question.as_ref().map_or("", |question| question.message.as_str()))
        }

        /// The JSON Schema of the answer's content: an object of plain fields. Null if there is a
        /// `url`.
        async fn requested_schema(&self) -> Option<Data<&Value>> {
            self.0.question.as_ref()?.schema.as_ref().map(Data)
        }

        /// The page where the person answers. Show its host before opening it. Null if there is a
        /// schema.
        async fn url(&self) -> Option<Text<&str>> {
            self.0.question.as_ref()?.url.as_deref().map(Text)
        }
    }
}

/// The resolution of an interrupt.
#[derive(SimpleObject)]
pub(crate) struct InterruptResolution {
    /// The kind of resolution.
    kind: InterruptResolutionKind,
    /// The arguments with which the call was approved instead of the model's; null if unchanged.
    arguments: Option<Data<Value>>,
    /// The reason of a rejection, as sent to the model.
    reason: Option<Text>,
    /// The client's result, as sent to the model.
    result: Option<ClientToolResult>,
    /// The content of the answer to a question.
    content: Option<Data<Value>>,
    /// The time of the resolution.
    resolved_at: DateTime<Utc>,
}

/// The result of a client tool call.
#[derive(SimpleObject)]
pub(crate) struct ClientToolResult {
    /// The text; JSON if the client gave a value.
    text: Text,
    /// The value, if the client gave one and it was not cut.
    data: Option<Data<Value>>,
    /// True if the call failed.
    is_error: bool,
    /// True if the text was cut to the server's limit.
    truncated: bool,
}

/// A kind of resolution of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum InterruptResolutionKind {
    /// The call is approved.
    Approved,
    /// The call is rejected and not executed.
    Rejected,
    /// The client executed the call.
    Result,
    /// The person answered the question.
    Accepted,
    /// The person declined to answer the question.
    Declined,
    /// The person dismissed the question.
    Dismissed,
    /// The interrupt expired without an answer; the call is not executed.
    Expired,
    /// The run ended before the interrupt was answered.
    Closed,
}

impl From<&Resolved> for InterruptResolution {
    fn from(resolved: &Resolved) -> Self {
        let mut told = Self {
            kind: InterruptResolutionKind::Approved,
            arguments: None,
            reason: None,
            result: None,
            content: None,
            resolved_at: resolved.at,
        };
        told.kind = match &resolved.resolution {
            Resolution::Approved { arguments } => {
                told.arguments = arguments.clone().map(Data);
                InterruptResolutionKind::Approved
            }
            Resolution::Rejected { reason } => {
                told.reason = Some(Text(reason.clone()));
                InterruptResolutionKind::Rejected
            }
            Resolution::Result {
                text,
                is_error,
                truncated,
                is_json,
            } => {
                told.result = Some(ClientToolResult {
                    data: is_json.then(|| json(text)),
                    text: Text(text.clone()),
                    is_error: *is_error,
                    truncated: *truncated,
                });
                InterruptResolutionKind::Result
            }
            Resolution::Accepted { content } => {
                told.content = Some(Data(content.clone()));
                InterruptResolutionKind::Accepted
            }
            Resolution::Declined => InterruptResolutionKind::Declined,
            Resolution::Dismissed => InterruptResolutionKind::Dismissed,
            Resolution::Expired => InterruptResolutionKind::Expired,
            Resolution::Closed => InterruptResolutionKind::Closed,
        };
        told
    }
}
