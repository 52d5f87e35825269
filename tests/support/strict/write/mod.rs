//! Answers as the vendors stream them.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use super::asked::Asked;
use super::play::Block;
use super::rules::Protocol;
use crate::support::upstream::Script;

/// How many tokens every answer counts: read and written.
const TOKENS: (u64, u64) = (20, 5);

/// The answer in its vendor's form.
pub(crate) fn stream(asked: &Asked<'_>, blocks: &[Block]) -> Script {
    match asked.protocol {
        Protocol::Chat => chat::stream(asked, blocks),
        Protocol::Responses => responses::stream(asked, blocks),
        Protocol::Anthropic => anthropic::stream(asked, blocks),
        Protocol::Gemini => gemini::stream(asked, blocks),
    }
}

/// A text in pieces, as models write.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<_> = text.chars().collect();
    chars
        .chunks(12)
        .map(|chunk| chunk.iter().collect())
        .collect()
}

/// An id for a call, another for each call of a conversation.
fn call_id(asked: &Asked<'_>, prefix: &str, index: usize) -> String {
    format!("{prefix}{:04}{index:04}", asked.conversation().len())
}
