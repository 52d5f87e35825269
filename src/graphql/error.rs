//! Errors as clients see them. A client error has a code and, where possible, the field; an
//! internal error is logged and reported as a request id.

use std::sync::Arc;

use async_graphql::{Error, ErrorExtensionValues, Value};
use thiserror::Error as ThisError;

use talkgraph_domain::RunId;
use talkgraph_evaluation::Failure;
use talkgraph_runtime::{FollowError, StartError};
use talkgraph_store::{AgentRefusal, StoreError};

/// `extensions.code` of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// An argument is invalid; `extensions.field` names it.
    BadUserInput,
    /// The key is missing or unknown.
    Unauthenticated,
    /// The key does not allow the operation.
    Forbidden,
    /// The object does not exist or belongs to another owner.
    NotFound,
    /// The object's state does not allow the operation.
    Conflict,
    /// A limit of the server was reached.
    LimitExceeded,
    /// The operation is unavailable now; retry.
    Unavailable,
    /// An internal error; the log has its cause under `extensions.requestId`.
    InternalServerError,
}

impl Code {
    /// Returns the code as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::LimitExceeded => "LIMIT_EXCEEDED",
            Self::Unavailable => "UNAVAILABLE",
            Self::InternalServerError => "INTERNAL_SERVER_ERROR",
        }
    }
}

/// The cause of an internal error. It travels with the error until the request's id is known, is
/// logged there and goes no further.
#[derive(Debug, ThisError)]
pub(crate) enum Fault {
    #[error("{0}")]
    Store(String),
    /// The database is unavailable.
    #[error("{0}")]
    Outage(String),
    #[error("{0}")]
    Start(String),
    #[error("{0}")]
    Tool(String),
    #[error("{0}")]
    Evaluation(String),
    #[error("the schema has no {0} data")]
    Missing(&'static str),
}

/// An error with its code. Deliberately not `Display`: it reaches a client only through the
/// conversion below.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    message: String,
    field: Option<String>,
    run: Option<String>,
    /// The number of an agent's current version, if another was expected.
    current_version: Option<i32>,
    /// True if a stream can be resumed.
    resumable: bool,
    resume_after: Option<u64>,
    fault: Option<Arc<Fault>>,
}

impl ApiError {
    /// Creates a client error.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // The message may repeat client input, once for each field.
        shorten(&mut message, OWN_MESSAGE_BYTES);
        Self {
            code,
            message,
            field: None,
            run: None,
            current_version: None,
            resumable: false,
            resume_after: None,
            fault: None,
        }
    }

    /// Reports an invalid argument.
    pub fn bad_input(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message).with_field(field)
    }

    /// Reports an object that does not exist for this client.
    pub fn not_found(field: &str, message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message).with_field(field)
    }

    /// Creates an internal error.
    pub(crate) fn fault(fault: Fault) -> Self {
        Self {
            fault: Some(Arc::new(fault)),
            ..Self::new(Code::InternalServerError, "internal server error")
        }
    }

    /// Reports an internal task that ended without a result.
    pub(crate) fn lost(why: String) -> Self {
        Self::fault(Fault::Start(why))
    }

    /// Names the invalid argument.
    #[must_use]
    pub fn with_field(mut self, field: &str) -> Self {
        self.field = Some(field.to_owned());
        self
    }

    /// Names the run that the error concerns.
    #[must_use]
    pub(crate) fn with_run(mut self, run: RunId) -> Self {
        self.run = Some(run.to_string());
        self
    }

    /// Marks a stream as resumable, after a sequence if it has one.
    fn resumable(mut self, after: Option<u64>) -> Self {
        self.resumable = true;
        self.resume_after = after;
        self
    }

    /// Converts the error of starting a run at the message in `input.messageId`.
    pub(crate) fn at_message(error: StartError) -> Self {
        let of_session = matches!(error, StartError::ActiveRun(_) | StartError::ArchivedAgent);
        let error = Self::from(error);
        match of_session {
            true => error.with_field("input.messageId"),
            false => error,
        }
    }

    fn unavailable(fault: Fault) -> Self {
        Self {
            fault: Some(Arc::new(fault)),
            ..Self::new(
                Code::Unavailable,
                "the server's database is unavailable; retry later",
            )
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code.as_str());
        if let Some(field) = error.field {
            extensions.set("field", field);
        }
        if let Some(run) = error.run {
            extensions.set("runId", run);
        }
        if let Some(number) = error.current_version {
            extensions.set("currentVersion", number);
        }
        if error.resumable {
            extensions.set("resumable", true);
        }
        if let Some(after) = error.resume_after {
            extensions.set("after", after);
        }
        Self {
            message: error.message,
            source: error.fault.map(|fault| fault as _),
            extensions: Some(extensions),
        }
    }
}

impl From<AgentRefusal> for ApiError {
    fn from(refusal: AgentRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            AgentRefusal::NameTaken => Self::new(Code::Conflict, message).with_field("input.name"),
            AgentRefusal::OfFile => Self::new(Code::Forbidden, message),
            AgentRefusal::Archived => Self::new(Code::Conflict, message),
            AgentRefusal::OtherVersion(number) => Self {
                current_version: Some(number),
                ..Self::new(Code::Conflict, message).with_field("input.expectedVersion")
            },
            AgentRefusal::NoVersion(_) => Self::not_found("input.version", message),
            AgentRefusal::TooManyAgents(_) | AgentRefusal::TooManyVersions(_) => {
                Self::new(Code::LimitExceeded, message)
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::new(Code::NotFound, "not found"),
            StoreError::ActiveRun(run) => Self {
                run: Some(run.to_string()),
                ..Self::new(
                    Code::Conflict,
                    format!("the session has an active run, {run}; wait for it or cancel it"),
                )
            },
            StoreError::QueueFull => StartError::SessionQueueFull.into(),
            StoreError::Repeated(run) => Self::new(
                Code::Conflict,
                format!("the key already started the run {run}"),
            )
            .with_run(run),
            StoreError::KeyReused => StartError::KeyReused.into(),
            StoreError::Agent(refusal) => refusal.into(),
            StoreError::Resolved(_) => Self::new(Code::Conflict, error.to_string()),
            StoreError::TooLarge(most) => Self::new(
                Code::LimitExceeded,
                format!(
                    "the requested messages exceed {most} bytes (limits.response_bytes); request \
                     smaller pages"
                ),
            ),
            StoreError::Conflict | StoreError::Fenced => Self::new(
                Code::Conflict,
                "the object was changed by another request; read it and retry",
            ),
            StoreError::Unavailable(why) => Self::unavailable(Fault::Outage(why)),
            StoreError::Internal(why) => Self::fault(Fault::Store(why)),
        }
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let message = error.to_string();
        match error {
            StartError::UnknownAgent(_) => Self::not_found("input.agent", message),
            StartError::UnknownSession(_) => Self::not_found("input.sessionId", message),
            StartError::UnknownMessage(_) => Self::not_found("input.messageId", message),
            StartError::Unplaced(_) => {
                Self::new(Code::Conflict, message).with_field("input.messageId")
            }
            StartError::NotFromUser(_) => Self::bad_input("input.messageId", message),
            StartError::FileNotTaken { at, .. } => {
                Self::bad_input(&format!("input.message.files.{at}"), message)
            }
            StartError::File { at, part, .. } => {
                Self::bad_input(&format!("input.message.files.{at}.{part}"), message)
            }
            StartError::NoTool { .. } => Self::bad_input("input.toolChoice", message),
            StartError::OtherAgent(_) => Self::bad_input("input.agent", message),
            StartError::MissingVariables(_) | StartError::Variables(_) => {
                Self::bad_input("input.variables", message)
            }
            StartError::ArchivedAgent => {
                Self::new(Code::Conflict, message).with_field("input.sessionId")
            }
            StartError::ActiveRun(run) => Self {
                field: Some("input.sessionId".to_owned()),
                ..StoreError::ActiveRun(run).into()
            },
            StartError::ClientTools(_) => Self::bad_input("input.clientTools", message),
            StartError::ClientTool { at, part, .. } => {
                Self::bad_input(&format!("input.clientTools.{at}.{part}"), message)
            }
            StartError::OutputSchema(_) => Self::bad_input("input.outputSchema", message),
            StartError::Unchecked(failure) => failure.into(),
            StartError::SessionQueueFull => {
                Self::new(Code::Conflict, message).with_field("input.sessionId")
            }
            StartError::KeyReused => {
                Self::new(Code::Conflict, message).with_field("input.idempotencyKey")
            }
            StartError::KeyOfDeleted => Self::not_found("input.idempotencyKey", message),
            StartError::Elsewhere(run) | StartError::StillActive(run) => {
                Self::new(Code::Unavailable, message).with_run(run)
            }
            StartError::Busy | StartError::Draining => Self::new(Code::Unavailable, message),
            StartError::Store(error) => error.into(),
            StartError::Lost(why) => Self::fault(Fault::Start(why)),
        }
    }
}

/// Converts a failure. Invalid input has its own error, with its field, before this point.
impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(why) => Self::unavailable(Fault::Evaluation(why)),
            Failure::Busy => Self::new(Code::Unavailable, failure.to_string()),
            failure => Self::new(Code::LimitExceeded, failure.to_string()),
        }
    }
}

impl From<FollowError> for ApiError {
    fn from(error: FollowError) -> Self {
        let message = error.to_string();
        match error {
            FollowError::UnknownRun(_) => Self::not_found("runId", message),
            FollowError::UnknownSession(_) => Self::not_found("sessionId", message),
            FollowError::NotOfSession(_) => Self::bad_input("runId", message),
            FollowError::TooSlow { after } => {
                Self::new(Code::LimitExceeded, message).resumable(after)
            }
            FollowError::Stopping { after } => {
                Self::new(Code::Unavailable, message).resumable(after)
            }
            FollowError::BeyondEnd { .. } => Self::bad_input("after", message),
            FollowError::Store(error) => error.into(),
        }
    }
}

/// The maximum length of an executor error's message, in bytes: it repeats names that the client
/// chose.
const MESSAGE_BYTES: usize = 200;

/// The maximum length of this API's error messages, in bytes.
const OWN_MESSAGE_BYTES: usize = 1_000;

/// Logs the hidden causes of a response's errors under the request's id and gives each error of the
/// executor its code. Errors beyond `most` are only counted. Errors of an unavailable database go
/// to `outage`, which logs them for all requests together.
pub(crate) fn finish_errors(
    response: &mut async_graphql::Response,
    request_id: &str,
    most: usize,
    outage: impl Fn(&str),
) {
    for error in &mut response.errors {
        if let Some(fault) = error.source.take() {
            let code = error
                .extensions
                .as_ref()
                .and_then(|e| e.get("code").cloned());
            if let Some(Fault::Outage(why)) = fault.downcast_ref() {
                tracing::debug!(request_id, path = ?error.path, why, "request failed");
                outage(why);
            } else if let Some(fault) = fault.downcast_ref::<Fault>() {
                tracing::error!(request_id, path = ?error.path, %fault, "request failed");
            } else {
                tracing::error!(request_id, path = ?error.path, "request failed");
            }
            let extensions = error.extensions.get_or_insert_default();
            extensions.set("requestId", request_id);
            if code.is_none() {
                extensions.set("code", Code::InternalServerError.as_str());
                "internal server error".clone_into(&mut error.message);
            }
            continue;
        }
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            // An error with a path comes from an argument's type during execution.
            let code = if !error.path.is_empty() {
                Code::BadUserInput.as_str()
            } else if let Some(why) = syntax_error(&error.message) {
                error.message = why;
                "GRAPHQL_PARSE_FAILED"
            } else {
                "GRAPHQL_VALIDATION_FAILED"
            };
            extensions.set("code", Value::from(code));
            shorten(&mut error.message, MESSAGE_BYTES);
        }
    }
    if let Some(omitted) = response.errors.len().checked_sub(most).filter(|n| *n > 0) {
        response.errors.truncate(most);
        let name = "errorsOmitted".to_owned();
        response.extensions.insert(name, Value::from(omitted));
    }
}

fn shorten(message: &mut String, most: usize) {
    if message.len() > most {
        let mut end = most;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
}

/// Returns the parser's message without its multi-line excerpt of the document, which `locations`
/// replaces.
fn syntax_error(message: &str) -> Option<String> {
    let (drawing, why) = message.rsplit_once("= ")?;
    let drawn = drawing.trim_start().starts_with("-->");
    drawn.then(|| format!("syntax error: {}", why.trim()))
}
