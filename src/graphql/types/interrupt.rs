//! What runs wait for.

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

/// Something a run waits for; `resolveInterrupts` answers it. The run is AWAITING_INPUT as long
/// as one of its interrupts is open, and goes on by itself after the last answer. With an
/// InputRequest it is RUNNING, because the call goes on.
#[derive(Interface)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The interrupt's global id."),
    field(name = "run", ty = "Run", desc = "The run that waits."),
    field(name = "tool_name", ty = "&str", desc = "The tool's name."),
    field(
        name = "tool_call_id",
        ty = "ID",
        desc = "The call's id; its events and its parts in the message have it."
    ),
    field(
        name = "arguments",
        ty = "Data<&Value>",
        desc = "The arguments as the model wrote them, checked against the tool's schema."
    ),
    field(
        name = "input",
        ty = "Data<&Value>",
        desc = "The arguments as a value, as `ToolCallPart.input` has them."
    ),
    field(
        name = "created_at",
        ty = "DateTime<Utc>",
        desc = "Since when the run waits."
    ),
    field(
        name = "expires_at",
        ty = "DateTime<Utc>",
        desc = "From when on nobody's answer is waited for any more: the model is told so."
    ),
    field(
        name = "resolution",
        ty = "Option<InterruptResolution>",
        desc = "How it was answered; null while it is open."
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
            /// The interrupt's global id.
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

            /// The call's id; its events and its parts in the message have it.
            async fn tool_call_id(&self) -> ID {
                self.0.tool_call_id.to_string().into()
            }

            /// The arguments as the model wrote them, checked against the tool's schema.
            async fn arguments(&self) -> Data<&Value> {
                Data(&self.0.arguments)
            }

            /// The arguments as a value, as `ToolCallPart.input` has them.
            async fn input(&self) -> Data<&Value> {
                Data(&self.0.arguments)
            }

            /// Since when the run waits.
            async fn created_at(&self) -> DateTime<Utc> {
                self.0.created_at
            }

            /// From when on nobody's answer is waited for any more: the model is told so.
            async fn expires_at(&self) -> DateTime<Utc> {
                self.0.expires_at
            }

            /// How it was answered; null while it is open.
            async fn resolution(&self) -> Option<InterruptResolution> {
                self.0.resolution.as_ref().map(InterruptResolution::from)
            }

            $($more)*
        }
    )*};
}

interrupts! {
    /// A person has to approve a call of one of the server's tools before it is made: answer
    /// with `approve` or `reject`.
    ToolApproval {}

    /// The client has to make a call of one of the tools that it has brought along
    /// (`ChatInput.clientTools`): answer with `result`, or with `reject`.
    ClientToolCall {}

    /// The server of a tool asks the person something during a call: answer with `answer`. The
    /// run goes on running meanwhile, and so does the call, whose time stands still.
    InputRequest {
        /// The question, for the person.
        async fn message(&self) -> Text<&str> {
            Text(self.0.question.as_ref().map_or("", |question| question.message.as_str()))
        }

        /// The JSON Schema of the answer's content: an object of plain fields. Null if there is
        /// a URL.
        async fn requested_schema(&self) -> Option<Data<&Value>> {
            self.0.question.as_ref()?.schema.as_ref().map(Data)
        }

        /// The page where the person answers, to be shown with its host before it is opened. Null
        /// if there is a schema.
        async fn url(&self) -> Option<Text<&str>> {
            self.0.question.as_ref()?.url.as_deref().map(Text)
        }
    }
}

/// How an interrupt was answered.
#[derive(SimpleObject)]
pub(crate) struct InterruptResolution {
    /// The kind of answer.
    kind: InterruptResolutionKind,
    /// The arguments with which the call was approved in the place of the model's; null if a
    /// person did not change them.
    arguments: Option<Data<Value>>,
    /// Why it was rejected, as the model is told.
    reason: Option<Text>,
    /// The client's result, as the model is told.
    result: Option<ClientToolResult>,
    /// The content of the answer to a question.
    content: Option<Data<Value>>,
    /// When it was answered.
    resolved_at: DateTime<Utc>,
}

/// What the client's call came to.
#[derive(SimpleObject)]
pub(crate) struct ClientToolResult {
    /// The text; JSON where the client gave that.
    text: Text,
    /// The value, if the client gave one and it was not cut.
    data: Option<Data<Value>>,
    /// Whether the call failed.
    is_error: bool,
    /// Whether the text was cut to the server's limit.
    truncated: bool,
}

/// A kind of answer to an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum InterruptResolutionKind {
    /// The call may be made.
    Approved,
    /// The call is not made.
    Rejected,
    /// The client has made the call.
    Result,
    /// A question is answered.
    Accepted,
    /// The person does not want to answer a question.
    Declined,
    /// The person has dismissed a question.
    Dismissed,
    /// Nobody answered in time; the call is not made.
    Expired,
    /// The run ended before anybody answered.
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
