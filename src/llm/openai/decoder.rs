//! From a stream's chunks to parts.

use super::chunk::{Chunk, End};
use super::signed::Gathered;
use crate::domain::FinishReason;
use crate::llm::fault::Fault;
use crate::llm::parts::{Parts, ReadError};
use crate::llm::protocol::Decode;
use crate::llm::sse::SseEvent;

#[cfg(test)]
mod tests;

/// What has to be remembered between two chunks, besides what is in [`Parts`].
#[derive(Default)]
pub(super) struct Decoder {
    /// The model would not answer.
    refused: bool,
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
            return Err(parts.fault(&Fault::of_body(data.as_bytes())));
        }
        self.object(serde_json::from_str(data), parts).map(drop)
    }

    fn whole(&mut self, body: &[u8], parts: &mut Parts) -> Result<(), ReadError> {
        if self.object(serde_json::from_slice(body), parts)? {
            parts.end()?;
        }
        Ok(())
    }
}

impl Decoder {
    /// Reads a chunk or a completion; whether it had a choice.
    fn object(
        &mut self,
        parsed: serde_json::Result<Chunk>,
        parts: &mut Parts,
    ) -> Result<bool, ReadError> {
        let mut chunk = parsed.map_err(|error| parts.unreadable(&error))?;
        if let Some(error) = chunk.take_error() {
            return Err(parts.fault(&Fault::of_value(&error)));
        }
        let usage = chunk.take_usage();
        let choice = chunk.into_choice();
        let has_choice = choice.is_some();
        let mut end = None;
        if let Some((delta, ended)) = choice {
            // A server that has both names gives the same twice.
            let named = delta.reasoning_content.filter(|text| !text.is_empty());
            parts.reasoning(named.or(delta.reasoning));
            parts.reasoning(delta.content.reasoning);
            parts.text(delta.content.text);
            let refusal = delta.refusal.filter(|text| !text.is_empty());
            self.refused |= refusal.is_some();
            parts.text(refusal);
            self.gathered
                .add(delta.reasoning_details, delta.thinking_blocks);
            for call in delta.tool_calls.unwrap_or_default() {
                call.sign(parts);
                parts.call(call.into_delta())?;
            }
            if ended.is_some() {
                self.gathered.sign(parts);
            }
            end = ended;
        }
        if let Some(usage) = usage {
            parts.usage(usage);
        }
        match end {
            None => {}
            Some(End::Finished(_)) if self.refused => parts.finish(FinishReason::ContentFilter),
            Some(End::Finished(reason)) => parts.finish(reason),
            Some(End::Broken) => return Err(parts.fault(&Fault::default())),
        }
        Ok(has_choice)
    }
}
