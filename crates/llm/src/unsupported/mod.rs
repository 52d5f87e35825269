//! Parameters that a model or server refuses: found in its error, left out of the request, and
//! remembered for the model.
//!
//! Left out is only what changes neither the question nor the form of the answer: never
//! messages, model, tools or schemas.

mod change;
mod memory;
mod words;

use serde_json::Value;

pub(super) use self::change::Change;
use self::change::droppable;
pub(super) use self::memory::Learned;
pub use self::memory::ParameterMemory;
use super::fault::Fault;

/// The statuses with which a parameter is refused.
const STATUSES: [u16; 2] = [400, 422];

/// The most parameters that one call is repeated without.
pub(super) const MAX_REPEATS: usize = 4;

/// The codes with which OpenAI's API refuses a parameter.
/// <https://developers.openai.com/api/docs/guides/error-codes>
const CODES: [&str; 3] = [
    "unsupported_parameter",
    "unsupported_value",
    "unknown_parameter",
];

/// The change to a request after which its server may take it, if its error names a parameter
/// that may be left out or, in Chat Completions (`is_chat`), has another name.
pub(super) fn change_for(
    status: u16,
    fault: &Fault,
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
    // Where two exclude each other the temperature is the one that people set.
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
