//! Decoding of a stream's chunks.

use super::chunk::{Choice, Chunk, Delta, Reason};
use super::signed::Gathered;
use crate::lenient::parse;
use crate::parts::{Parts, ReadError};
use crate::protocol::Decode;
use crate::provider_error::ProviderError;
use crate::sse::SseEvent;
use talkgraph_domain::FinishReason;

#[cfg(test)]
mod tests;

/// The key of the one call that has none: no index is as large.
const FUNCTION_CALL: u64 = u64::MAX;

/// The state between two chunks, in addition to [`Parts`].
#[derive(Default)]
pub(super) struct Decoder {
    /// The model has refused to answer.
    refused: bool,
    /// A delta had content.
    has_deltas: bool,
    /// Tool calls have arrived under that name.
    has_tool_calls: bool,
    gathered: Gathered,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        let data = event.data.trim_ascii();
        if data == "[DONE]" {
            self.gathered.sign(parts);
            return parts.end();
        }
        if event.name == "error" {
            return Err(parts.fault(&ProviderError::of_body(data.as_bytes())));
        }
        self.object(data, parts).map(drop)
    }

    fn whole(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError> {
        if self.object(body, parts)? {
            parts.end()?;
        }
        Ok(())
    }
}

impl Decoder {
    /// Decodes a chunk or a completion; returns true if it had a choice.
    fn object(&mut self, json: &str, parts: &mut Parts) -> Result<bool, ReadError> {
        let mut chunk: Chunk = parse(json).map_err(|error| parts.unreadable(&error))?;
        if let Some(error) = chunk.take_error() {
            return Err(parts.fault(&ProviderError::of_value(&error)));
        }
        let usage = chunk.take_usage();
        let choice = chunk.into_choice();
        let has_choice = choice.is_some();
        let end = choice.as_ref().and_then(Choice::reason);
        if let Some(choice) = choice {
            let delta = self.new_of(choice, parts);
            self.say(delta, parts)?;
            if end.is_some() {
                self.gathered.sign(parts);
            }
        }
        if let Some(usage) = usage {
            parts.usage(usage);
        }
        match end {
            None | Some(Reason::None) => {}
            Some(Reason::Finished(_)) if self.refused => parts.finish(FinishReason::ContentFilter),
            Some(Reason::Finished(reason)) => parts.finish(reason),
            Some(Reason::Malformed) => parts.malformed()?,
            Some(Reason::Broken) => return Err(parts.fault(&ProviderError::default())),
        }
        Ok(has_choice)
    }

    /// The new content of a choice. A message next to deltas, or after them, repeats all of their
    /// content.
    fn new_of(&mut self, choice: Choice, parts: &Parts) -> Delta {
        let delta = choice.delta.filter(|delta| !delta.is_empty());
        match (delta, choice.message) {
            (Some(delta), _) => {
                self.has_deltas = true;
                delta
            }
            (None, Some(mut message)) => {
                if self.has_deltas {
                    message.leave_out(parts);
                }
                message
            }
            (None, None) => Delta::default(),
        }
    }

    fn say(&mut self, delta: Delta, parts: &mut Parts) -> Result<(), ReadError> {
        let content = delta.content.unwrap_or_default();
        // A server that uses both names sends the same text twice.
        let named = delta.reasoning_content.filter(|text| !text.is_empty());
        parts.reasoning(named.or(delta.reasoning));
        parts.reasoning(content.reasoning);
        parts.text(content.text);
        let refusal = delta.refusal.filter(|text| !text.is_empty());
        self.refused |= refusal.is_some();
        parts.text(refusal);
        self.gathered
            .add(delta.reasoning_details, delta.thinking_blocks);
        for call in delta.tool_calls.unwrap_or_default() {
            self.has_tool_calls = true;
            call.sign(parts);
            parts.call(call.into_delta())?;
        }
        // Some send the same call under both names.
        match delta.function_call.filter(|_| !self.has_tool_calls) {
            Some(call) => parts.call(call.into_delta(Some(FUNCTION_CALL))),
            None => Ok(()),
        }
    }
}

impl Delta {
    /// Removes content that was received before.
    fn leave_out(&mut self, parts: &Parts) {
        if parts.has_text() {
            (self.content, self.refusal) = (None, None);
        }
        if parts.has_text() || parts.has_reasoning() {
            (self.reasoning, self.reasoning_content) = (None, None);
            (self.reasoning_details, self.thinking_blocks) = (None, None);
            if let Some(content) = &mut self.content {
                content.reasoning = None;
            }
        }
        if parts.has_calls() {
            (self.tool_calls, self.function_call) = (None, None);
        }
    }
}
