//! Input types, and the checks that a GraphQL type cannot express.

pub(crate) mod agent;
pub(crate) mod branch;
mod file;
pub(crate) mod interrupt;
mod options;
pub(crate) mod tool;
mod variables;

use async_graphql::{ID, InputObject, Json, MaybeUndefined};
use serde_json::Value;
use type_safe_id::{StaticType, TypeSafeId};

use talkgraph_domain::RunOptions;
use talkgraph_runtime::{SentFile, StartRequest};
use talkgraph_store::RunInput;

use self::interrupt::ClientToolInput;
use super::types::enums::{ConcurrencyPolicy, DisconnectPolicy};
use super::{ApiError, ApiLimits};
use file::FileInput;
use options::ToolChoiceInput;
use talkgraph_tools::CallerHeaders;
use variables::check_variables;

/// The path of the idempotency key.
pub(crate) const KEY: &str = "input.idempotencyKey";

/// The maximum length of an idempotency key, in characters.
const KEY_CHARS: usize = 255;

/// A message from a person.
#[derive(Debug, InputObject)]
pub(crate) struct MessageInput {
    /// The text. It must not be blank unless there are files; its size is limited (256 KiB of UTF-8
    /// by default).
    pub(crate) text: String,
    /// The attached files, such as images or documents, of types that the agent's models accept. By
    /// default at most 8, of 5 MiB each.
    pub(crate) files: Option<Vec<FileInput>>,
}

/// A message to an agent, with the options of the run.
#[derive(Debug, InputObject)]
pub(crate) struct ChatInput {
    /// The session to continue; a new one is created if absent.
    pub(crate) session_id: Option<ID>,
    /// The name of the agent of a new session, such as `support`; the server's default agent if
    /// absent.
    pub(crate) agent: Option<String>,
    /// The person's message.
    pub(crate) message: MessageInput,
    /// The values available to the agent's instructions as `variables.x`: a JSON object, for this
    /// run only, such as `{"plan": "pro"}`. The model receives them as data, never as instructions.
    /// `Agent.variables` lists the names that an agent uses; other names are ignored.
    pub(crate) variables: Option<Json<Value>>,
    /// The JSON Schema that the answer must match, without references to other documents; at most
    /// 64 KiB. The agent's own if absent. The model writes properties in the schema's order. The
    /// result is `Message.data`; an answer that stays invalid fails the run with OUTPUT_INVALID.
    pub(crate) output_schema: Option<Json<Value>>,
    /// The model's choice of tools; AUTO if absent.
    pub(crate) tool_choice: Option<ToolChoiceInput>,
    /// The IANA time zone of `date` in the agent's instructions, such as `Europe/Zurich`; the
    /// agent's own if absent.
    pub(crate) time_zone: Option<String>,
    /// The handling of an already active run of the session.
    #[graphql(default_with = "ConcurrencyPolicy::Reject")]
    pub(crate) on_active_run: ConcurrencyPolicy,
    /// The handling of the run if the client that waits for it, by the mutation or the subscription
    /// `chat`, disconnects.
    #[graphql(default_with = "DisconnectPolicy::Continue")]
    pub(crate) on_disconnect: DisconnectPolicy,
    /// The tools that the client executes itself, in addition to the agent's: at most 32, of 64 KiB
    /// in total. A call makes the run AWAITING_INPUT with a `ClientToolCall` until
    /// `resolveInterrupts` provides the result.
    #[graphql(default)]
    pub(crate) client_tools: Vec<ClientToolInput>,
    /// A key chosen by the client, 1 to 255 printable characters, such as a UUID. Repeating the
    /// same input with the same key returns the run that the first request started, even while that
    /// request is in progress. Another input with the same key is a CONFLICT. The server keeps keys
    /// for a day by default.
    pub(crate) idempotency_key: Option<String>,
}

/// A session to create.
#[derive(Debug, Default, InputObject)]
pub(crate) struct CreateSessionInput {
    /// The name of the session's agent, such as `support`; the server's default agent if absent.
    pub(crate) agent: Option<String>,
    /// The title; taken from the first message if absent.
    pub(crate) title: Option<String>,
    /// The client's own data, a JSON object.
    pub(crate) metadata: Option<Json<Value>>,
}

/// Changes of a session; absent fields stay unchanged.
#[derive(Debug, InputObject)]
pub(crate) struct UpdateSessionInput {
    /// The session.
    pub(crate) id: ID,
    /// The new title; null removes it.
    pub(crate) title: MaybeUndefined<String>,
    /// The new metadata, a JSON object that replaces the old one.
    pub(crate) metadata: Option<Json<Value>>,
}

/// A filter of a list of sessions.
#[derive(Debug, Default, InputObject)]
pub(crate) struct SessionFilter {
    /// The name of the agent of the sessions.
    pub(crate) agent: Option<String>,
    /// A text that the title contains, ignoring the case of ASCII letters.
    pub(crate) title_contains: Option<String>,
}

impl MessageInput {
    /// Checks and returns the text and the files.
    fn check(self, limits: &ApiLimits) -> Result<(String, Vec<SentFile>), ApiError> {
        let field = "input.message.text";
        let mut text = self.text;
        let files = file::check(self.files.unwrap_or_default(), limits)?;
        if text.trim().is_empty() && !files.is_empty() {
            text.clear();
        } else if text.trim().is_empty() {
            return Err(ApiError::bad_input(field, "the message must not be blank"));
        }
        if text.len() > limits.message_bytes {
            let most = limits.message_bytes;
            return Err(ApiError::bad_input(
                field,
                format!(
                    "the message has {} bytes; at most {most} are allowed",
                    text.len()
                ),
            ));
        }
        check_text(field, &text)?;
        Ok((text, files))
    }
}

impl ChatInput {
    pub(crate) fn check(self, limits: &ApiLimits) -> Result<StartRequest, ApiError> {
        if let Some(key) = &self.idempotency_key {
            check_key(KEY, key)?;
        }
        let (text, files) = self.message.check(limits)?;
        let variables = self.variables.map(|given| check_variables(given.0, limits));
        let options = RunOptions {
            variables: variables.transpose()?.unwrap_or_default(),
            client_tools: options::client_tools(self.client_tools),
            output_schema: self.output_schema.map(options::schema).transpose()?,
            tool_choice: self.tool_choice.map(Into::into).unwrap_or_default(),
            time_zone: self.time_zone.map(options::time_zone).transpose()?,
            request_id: None,
        };
        Ok(StartRequest {
            parent: None,
            session: self
                .session_id
                .map(|id| parse_id("input.sessionId", &id))
                .transpose()?,
            agent: self.agent,
            text,
            files,
            options,
            headers: CallerHeaders::default(),
            request_id: None,
            input: RunInput::AfterHead,
            on_active: self.on_active_run.into(),
            cancel_on_disconnect: self.on_disconnect == DisconnectPolicy::Cancel,
            key: self.idempotency_key,
        })
    }
}

/// Parses an id of the type that a field expects.
pub(crate) fn parse_id<T: StaticType>(field: &str, id: &ID) -> Result<TypeSafeId<T>, ApiError> {
    id.parse().map_err(|_| {
        let prefix = T::TYPE;
        ApiError::bad_input(
            field,
            format!("`{field}` must be an id that begins with {prefix}_"),
        )
    })
}

/// Rejects NUL, which not every database can store.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(ApiError::bad_input(
            field,
            "the text must not contain U+0000",
        ));
    }
    Ok(())
}

/// Checks an idempotency key, the argument `field`.
pub(crate) fn check_key(field: &str, key: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.chars().count() > KEY_CHARS || key.contains(char::is_control) {
        let message = format!("the key must have 1 to {KEY_CHARS} printable characters");
        return Err(ApiError::bad_input(field, message));
    }
    Ok(())
}

pub(crate) fn check_title(title: &str, limits: &ApiLimits) -> Result<(), ApiError> {
    let field = "input.title";
    let most = limits.title_chars;
    if title.trim().is_empty() || title.chars().count() > most {
        return Err(ApiError::bad_input(
            field,
            format!("the title must have 1 to {most} characters"),
        ));
    }
    check_text(field, title)
}

pub(crate) fn check_metadata(metadata: &Value, limits: &ApiLimits) -> Result<(), ApiError> {
    let field = "input.metadata";
    if !metadata.is_object() {
        return Err(ApiError::bad_input(
            field,
            "the metadata must be a JSON object",
        ));
    }
    let text = metadata.to_string();
    if text.len() > limits.metadata_bytes {
        let most = limits.metadata_bytes;
        return Err(ApiError::bad_input(
            field,
            format!(
                "the metadata has {} bytes of JSON; at most {most} are allowed",
                text.len()
            ),
        ));
    }
    if text.contains("\\u0000") {
        return Err(ApiError::bad_input(
            field,
            "the metadata must not contain U+0000",
        ));
    }
    Ok(())
}
