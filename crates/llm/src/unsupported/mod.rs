//! Unsupported parameters: recognised in the error of a model or server, left out of the request,
//! and remembered for the model.
//!
//! Only parameters that change neither the question nor the form of the answer are left out: never
//! messages, model, tools or schemas.

mod change;
mod memory;
mod words;

use serde_json::Value;

pub(super) use self::change::Change;
use self::change::droppable;
pub(super) use self::memory::Learned;
pub use self::memory::ParameterMemory;
use super::provider_error::ProviderError;

/// The statuses with which a parameter is refused.
const STATUSES: [u16; 2] = [400, 422];

/// The maximum number of parameters without which one call is repeated.
pub(super) const MAX_REPEATS: usize = 4;

/// The codes with which OpenAI's API refuses a parameter.
/// <https://developers.openai.com/api/docs/guides/error-codes>
const CODES: [&str; 3] = [
    "unsupported_parameter",
    "unsupported_value",
    "unknown_parameter",
];

/// The change after which a server may accept a request, if its error names a parameter that may be
/// left out or, in Chat Completions (`is_chat`), has another name.
pub(super) fn change_for(
    status: u16,
    fault: &ProviderError,
    body: &Value,
    is_chat: bool,
) -> Option<Change> {
    if !STATUSES.contains(&status) {
        return None;
    }
    let message = fault.message();
    if !CODES.contains(&fault.code()) && !words::refuses(message) {
        return None;
    }
    let named = fault.paths().map(str::to_owned);
    let mentioned = words::names(message).map(str::to_owned);
    let found: Vec<_> = named
        .chain(mentioned)
        .filter_map(|path| change_of(&path, body, is_chat))
        .collect();
    // If two exclude each other, the temperature is kept, since people set it.
    let is_both = words::excludes(message);
    let preferred = found.iter().find(|change| is_both && change.is_of("top_p"));
    preferred.or(found.first()).cloned()
}

fn change_of(path: &str, body: &Value, is_chat: bool) -> Option<Change> {
    let path = change::locate(path, body)?;
    let renamed = change::renamed(&path, body).filter(|_| is_chat);
    renamed.or_else(|| droppable(&path).map(Change::Drop))
}

#[cfg(test)]
mod tests;
