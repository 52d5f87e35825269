//! What clients send, and the checks that a GraphQL type cannot make.

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

/// The argument that is a key of a start.
pub(crate) const KEY: &str = "input.idempotencyKey";

/// The longest idempotency key, in characters.
const KEY_CHARS: usize = 255;

/// A message from a person.
#[derive(Debug, InputObject)]
pub(crate) struct MessageInput {
    /// What the person says. Must not be blank, unless there are files; the server bounds its
    /// size (256 KiB of UTF-8 unless set otherwise).
    pub(crate) text: String,
    /// Files that come with it: images, documents, as the agent's models take them. At most 8,
    /// and 5 MiB each, unless set otherwise.
    pub(crate) files: Option<Vec<FileInput>>,
}

/// What an agent is asked.
#[derive(Debug, InputObject)]
pub(crate) struct ChatInput {
    /// The session to go on with; a new one is made when absent.
    pub(crate) session_id: Option<ID>,
    /// The name of the agent for a new session; the server's default agent when absent.
    pub(crate) agent: Option<String>,
    /// What the person says.
    pub(crate) message: MessageInput,
    /// What the agent's instructions can use, as `variables.x`: a JSON object, for this run
    /// alone. The model is shown the values as data, never as instructions. `Agent.variables`
    /// lists those that an agent uses; others do nothing.
    pub(crate) variables: Option<Json<Value>>,
    /// The JSON Schema that the answer must be valid against, without references to other
    /// documents; at most 64 KiB. The agent's own when absent. A model writes properties in the
    /// schema's order. The result is `Message.data`; an answer that stays invalid fails the run
    /// with OUTPUT_INVALID.
    pub(crate) output_schema: Option<Json<Value>>,
    /// Whether the model calls the agent's tools; as it likes when absent.
    pub(crate) tool_choice: Option<ToolChoiceInput>,
    /// The IANA time zone of `date` in the agent's instructions, such as `Europe/Zurich`; the
    /// agent's own when absent.
    pub(crate) time_zone: Option<String>,
    /// What happens if the session has an active run.
    #[graphql(default_with = "ConcurrencyPolicy::Reject")]
    pub(crate) on_active_run: ConcurrencyPolicy,
    /// What becomes of the run if the client that waits for it, by the mutation or the
    /// subscription `chat`, goes away.
    #[graphql(default_with = "DisconnectPolicy::Continue")]
    pub(crate) on_disconnect: DisconnectPolicy,
    /// Tools that the client itself calls when the model wants them called, beside the agent's:
    /// at most 32, with 64 KiB together. The run is AWAITING_INPUT then, with a
    /// `ClientToolCall`, until `resolveInterrupts` gives the result.
    #[graphql(default)]
    pub(crate) client_tools: Vec<ClientToolInput>,
    /// A name for this start, chosen by the client, 1 to 255 printable characters: to send
    /// the same input with the same key again, even while the first is under way, gives the
    /// run that the first has started, and starts nothing. With another input it is a
    /// CONFLICT. The server remembers keys for a day, unless set otherwise.
    pub(crate) idempotency_key: Option<String>,
}

/// A session to make.
#[derive(Debug, Default, InputObject)]
pub(crate) struct CreateSessionInput {
    /// The name of the agent that will answer; the server's default agent when absent.
    pub(crate) agent: Option<String>,
    /// A title; taken from the first message when absent.
    pub(crate) title: Option<String>,
    /// The client's own data, a JSON object.
    pub(crate) metadata: Option<Json<Value>>,
}

/// What to change about a session; what is absent stays.
#[derive(Debug, InputObject)]
pub(crate) struct UpdateSessionInput {
    /// The session.
    pub(crate) id: ID,
    /// The new title; null removes it.
    pub(crate) title: MaybeUndefined<String>,
    /// The new metadata, a JSON object that replaces the old one.
    pub(crate) metadata: Option<Json<Value>>,
}

/// Which sessions a list has.
#[derive(Debug, Default, InputObject)]
pub(crate) struct SessionFilter {
    /// Only sessions with this agent, by name.
    pub(crate) agent: Option<String>,
    /// Only sessions whose title has this text; letter case does not matter for ASCII.
    pub(crate) title_contains: Option<String>,
}

impl MessageInput {
    /// The text and the files, once they are known to be that.
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

/// Reads an id of the type that a field wants.
pub(crate) fn parse_id<T: StaticType>(field: &str, id: &ID) -> Result<TypeSafeId<T>, ApiError> {
    id.parse().map_err(|_| {
        let prefix = T::TYPE;
        ApiError::bad_input(
            field,
            format!("`{field}` must be an id that begins with {prefix}_"),
        )
    })
}

/// NUL cannot be stored in every database, and nobody types it.
pub(crate) fn check_text(field: &str, text: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(ApiError::bad_input(
            field,
            "the text must not contain U+0000",
        ));
    }
    Ok(())
}

/// What is allowed as a key, of the argument `field`.
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
