//! Input types of interrupts and of client tools.

use async_graphql::{Enum, ID, InputObject, Json, MaybeUndefined, OneofObject};
use serde_json::{Map, Value};

use crate::graphql::{ApiError, Code};
use talkgraph_domain::{ClientTool, InterruptId, Resolution, RunId};
use talkgraph_runtime::ResolveError;

use super::{check_key, check_text, parse_id};

/// The maximum number of answers in one request: more than a run can wait for by default.
const MAX_ANSWERS: usize = 100;

/// The maximum length of a rejection's reason, in characters.
const REASON_CHARS: usize = 2_000;

/// A tool that the client executes.
#[derive(Debug, InputObject)]
pub(crate) struct ClientToolInput {
    /// The name that the model calls the tool by: 1 to 64 letters, digits, `_` and `-`, such as
    /// `pick_color`; different from the agent's tools.
    name: String,
    /// The description for the model of the tool's function and use.
    description: String,
    /// The JSON Schema of the arguments, an object. The client only receives arguments that match
    /// it.
    parameters: Json<Value>,
}

/// Answers to interrupts of one run, accepted all or none.
#[derive(Debug, InputObject)]
pub(crate) struct ResolveInterruptsInput {
    /// The run that waits.
    run_id: ID,
    /// The answers, each to a different interrupt; to all open interrupts of the run or some of
    /// them.
    resolutions: Vec<InterruptResolutionInput>,
    /// An optional key chosen by the client; reusing it for other answers is a CONFLICT. Repeating
    /// the same answers returns the same result even without a key.
    pub(crate) idempotency_key: Option<String>,
}

/// An answer to one interrupt.
#[derive(Debug, OneofObject)]
pub(crate) enum InterruptResolutionInput {
    /// Approves a call: the answer to a `ToolApproval`.
    Approve(ApproveToolCallInput),
    /// Rejects a call; the model receives the reason.
    Reject(RejectToolCallInput),
    /// Provides the result of a client tool call: the answer to a `ClientToolCall`.
    Result(ClientToolResultInput),
    /// Answers a question: the answer to an `InputRequest`.
    Answer(AnswerInputRequestInput),
}

/// The answer to a question of a tool's server.
#[derive(Debug, InputObject)]
pub(crate) struct AnswerInputRequestInput {
    /// The interrupt.
    interrupt_id: ID,
    /// The person's decision.
    action: InputRequestAction,
    /// The content, valid against `requestedSchema`; required with ACCEPT, unless the question has
    /// a URL.
    content: Option<Json<Value>>,
}

/// A person's decision about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum InputRequestAction {
    /// The person answers or, for a URL, has opened it.
    Accept,
    /// The person declines to answer.
    Decline,
    /// The person dismisses the question.
    Dismiss,
}

/// The approval of a call.
#[derive(Debug, InputObject)]
pub(crate) struct ApproveToolCallInput {
    /// The interrupt.
    interrupt_id: ID,
    /// Arguments that replace the model's, checked against the tool's schema.
    arguments: Option<Json<Value>>,
}

/// The rejection of a call.
#[derive(Debug, InputObject)]
pub(crate) struct RejectToolCallInput {
    /// The interrupt.
    interrupt_id: ID,
    /// The reason, sent to the model; at most 2,000 characters.
    #[graphql(default)]
    reason: String,
}

/// The result of a client tool call: either `text` or `json`.
#[derive(Debug, InputObject)]
pub(crate) struct ClientToolResultInput {
    /// The interrupt.
    interrupt_id: ID,
    /// The result as text. Text beyond the server's limit is cut and marked.
    text: Option<String>,
    /// The result as JSON. The model receives it as text; the result keeps it as a value
    /// (`DataPart`).
    json: MaybeUndefined<Json<Value>>,
    /// True if the call failed.
    #[graphql(default)]
    is_error: bool,
}

/// Answers with their positions in the input.
pub(crate) struct Answers {
    pub(crate) run: RunId,
    pub(crate) answers: Vec<(InterruptId, Resolution)>,
    paths: Vec<String>,
}

impl ClientToolInput {
    pub(crate) fn into_tool(self) -> ClientTool {
        ClientTool {
            name: self.name,
            description: self.description,
            parameters: self.parameters.0,
        }
    }
}

impl ResolveInterruptsInput {
    pub(crate) fn check(self) -> Result<Answers, ApiError> {
        let field = "input.resolutions";
        if !(1..=MAX_ANSWERS).contains(&self.resolutions.len()) {
            let message = format!("give 1 to {MAX_ANSWERS} answers");
            return Err(ApiError::bad_input(field, message));
        }
        if let Some(key) = &self.idempotency_key {
            check_key(super::KEY, key)?;
        }
        let mut answers = Answers {
            run: parse_id("input.runId", &self.run_id)?,
            answers: Vec::new(),
            paths: Vec::new(),
        };
        for (at, resolution) in self.resolutions.into_iter().enumerate() {
            let path = format!("{field}.{at}.{}", resolution.name());
            answers.answers.push(resolution.check(&path)?);
            answers.paths.push(path);
        }
        Ok(answers)
    }
}

impl InterruptResolutionInput {
    fn name(&self) -> &'static str {
        match self {
            Self::Approve(_) => "approve",
            Self::Reject(_) => "reject",
            Self::Result(_) => "result",
            Self::Answer(_) => "answer",
        }
    }

    fn check(self, path: &str) -> Result<(InterruptId, Resolution), ApiError> {
        let id = |id: &ID| parse_id(&format!("{path}.interruptId"), id);
        Ok(match self {
            Self::Approve(approve) => {
                let arguments = approve.arguments.map(|arguments| arguments.0);
                let resolution = Resolution::Approved { arguments };
                (id(&approve.interrupt_id)?, resolution)
            }
            Self::Reject(reject) => {
                let field = format!("{path}.reason");
                if reject.reason.chars().count() > REASON_CHARS {
                    let message = format!("the reason must have at most {REASON_CHARS} characters");
                    return Err(ApiError::bad_input(&field, message));
                }
                check_text(&field, &reject.reason)?;
                let reason = reject.reason.trim().to_owned();
                (id(&reject.interrupt_id)?, Resolution::Rejected { reason })
            }
            Self::Answer(answer) => {
                let content = answer.content.map(|content| content.0);
                let resolution = match answer.action {
                    InputRequestAction::Accept => Resolution::Accepted {
                        content: content.unwrap_or_else(|| Value::Object(Map::new())),
                    },
                    InputRequestAction::Decline => Resolution::Declined,
                    InputRequestAction::Dismiss => Resolution::Dismissed,
                };
                if let Resolution::Accepted { content } = &resolution {
                    check_text(&format!("{path}.content"), &content.to_string())?;
                }
                (id(&answer.interrupt_id)?, resolution)
            }
            Self::Result(result) => {
                let (text, is_json) = match (result.text, result.json) {
                    (Some(text), MaybeUndefined::Undefined | MaybeUndefined::Null) => (text, false),
                    (None, MaybeUndefined::Value(json)) => (json.0.to_string(), true),
                    // Null is a result like any other JSON.
                    (None, MaybeUndefined::Null) => (Value::Null.to_string(), true),
                    _ => return Err(ApiError::bad_input(path, "give either `text` or `json`")),
                };
                check_text(&format!("{path}.text"), &text)?;
                let resolution = Resolution::Result {
                    text,
                    is_error: result.is_error,
                    truncated: false,
                    is_json,
                };
                (id(&result.interrupt_id)?, resolution)
            }
        })
    }
}

/// Converts rejected answers to an error with their positions in the input, taken from `paths`.
pub(crate) fn refused(error: ResolveError, paths: &Answers) -> ApiError {
    let message = error.to_string();
    let path = |at: usize, part: &str| {
        let path = paths
            .paths
            .get(at)
            .map_or("input.resolutions", String::as_str);
        format!("{path}{part}")
    };
    match error {
        ResolveError::UnknownRun(_) => ApiError::not_found("input.runId", message),
        ResolveError::Unknown { at, .. } => ApiError::not_found(&path(at, ".interruptId"), message),
        ResolveError::Twice { at, .. } => ApiError::bad_input(&path(at, ".interruptId"), message),
        ResolveError::Answer { at } => ApiError::bad_input(&path(at, ""), message),
        ResolveError::Content { at, .. } => ApiError::bad_input(&path(at, ".content"), message),
        ResolveError::Kind { at, .. } => ApiError::bad_input(&path(at, ""), message),
        ResolveError::Arguments { at, .. } => ApiError::bad_input(&path(at, ".arguments"), message),
        ResolveError::Resolved { at, .. } => {
            ApiError::new(Code::Conflict, message).with_field(&path(at, ".interruptId"))
        }
        ResolveError::NoTool { at, .. } => {
            ApiError::new(Code::Unavailable, message).with_field(&path(at, ".arguments"))
        }
        ResolveError::KeyReused => ApiError::new(Code::Conflict, message).with_field(super::KEY),
        ResolveError::Draining => ApiError::new(Code::Unavailable, message),
        ResolveError::Store(error) => error.into(),
        ResolveError::Lost(why) => ApiError::lost(why),
    }
}
