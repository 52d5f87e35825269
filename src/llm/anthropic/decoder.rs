//! From a stream's events to parts.

use super::event::{Block, BlockKind, Counts, Delta, Event, Kind, StopReason};
use super::{REDACTED, SIGNED};
use crate::llm::calls::CallDelta;
use crate::llm::fault::Fault;
use crate::llm::parts::{Parts, ReadError};
use crate::llm::protocol::Decode;
use crate::llm::sse::SseEvent;

#[cfg(test)]
mod tests;

/// What has to be remembered between two events. Blocks come one after the other.
#[derive(Default)]
pub(super) struct Decoder {
    counts: Counts,
    /// Of the thinking that is being written.
    signature: String,
    /// The last tool call's block, and what it had before any delta came.
    call: Option<(u64, String)>,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        let event: Event =
            serde_json::from_str(event.data).map_err(|error| parts.unreadable(&error))?;
        match event.r#type {
            Kind::MessageStart => {
                self.count(event.message.and_then(|message| message.usage), parts);
            }
            Kind::ContentBlockStart => {
                if let Some(block) = event.content_block {
                    self.start(event.index, block, parts)?;
                }
            }
            Kind::ContentBlockDelta => {
                self.delta(event.index, event.delta.unwrap_or_default(), parts)?;
            }
            Kind::ContentBlockStop => self.stop(parts)?,
            Kind::MessageDelta => {
                self.count(event.usage, parts);
                finish(event.delta.and_then(|delta| delta.stop_reason), parts);
            }
            Kind::MessageStop => parts.end()?,
            Kind::Error => {
                let error = event.error.unwrap_or_default();
                return Err(parts.fault(&Fault::of_value(&error)));
            }
            Kind::Message | Kind::Other => {}
        }
        Ok(())
    }

    fn whole(&mut self, body: &[u8], parts: &mut Parts) -> Result<(), ReadError> {
        let message: Event =
            serde_json::from_slice(body).map_err(|error| parts.unreadable(&error))?;
        if let Some(error) = message.error {
            return Err(parts.fault(&Fault::of_value(&error)));
        }
        for (index, block) in (0..).zip(message.content) {
            self.start(index, block, parts)?;
            self.stop(parts)?;
        }
        self.count(message.usage, parts);
        finish(message.stop_reason, parts);
        parts.end()
    }
}

impl Decoder {
    fn count(&mut self, counts: Option<Counts>, parts: &mut Parts) {
        if let Some(counts) = counts {
            self.counts = counts.or(self.counts);
            parts.usage(self.counts.usage());
        }
    }

    fn start(&mut self, index: u64, block: Block, parts: &mut Parts) -> Result<(), ReadError> {
        // Only now is it sure that the call before is whole: one that a limit has cut is
        // stopped like any other.
        if let Some((index, _)) = self.call.take() {
            parts.call_completed(index);
        }
        match block.r#type {
            BlockKind::Text => parts.text(block.text),
            BlockKind::Thinking => {
                parts.reasoning(block.thinking);
                self.signature = block.signature.unwrap_or_default();
            }
            BlockKind::RedactedThinking => {
                parts.signature(REDACTED, &block.data.unwrap_or_default());
            }
            BlockKind::ToolUse => {
                let input = block.input.filter(|input| !input.is_empty());
                let input = input.and_then(|input| serde_json::to_string(&input).ok());
                self.call = Some((index, input.unwrap_or_default()));
                parts.call(CallDelta {
                    key: Some(index),
                    id: block.id,
                    name: block.name,
                    arguments: None,
                })?;
            }
            BlockKind::Other => {}
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: Delta, parts: &mut Parts) -> Result<(), ReadError> {
        parts.text(delta.text);
        parts.reasoning(delta.thinking);
        self.signature.extend(delta.signature);
        // Tools of the vendor's own have arguments too.
        let is_ours = self.call.as_ref().is_some_and(|(call, _)| *call == index);
        if let Some(arguments) = delta.partial_json.filter(|_| is_ours) {
            parts.call(CallDelta {
                key: Some(index),
                arguments: Some(arguments),
                ..CallDelta::default()
            })?;
        }
        Ok(())
    }

    fn stop(&mut self, parts: &mut Parts) -> Result<(), ReadError> {
        let signature = std::mem::take(&mut self.signature);
        if !signature.is_empty() {
            parts.signature(SIGNED, &signature);
        }
        // Imitations give the whole input when the block starts.
        if let Some((index, input)) = &mut self.call
            && !input.is_empty()
            && !parts.has_arguments(*index)
        {
            parts.call(CallDelta {
                key: Some(*index),
                arguments: Some(std::mem::take(input)),
                ..CallDelta::default()
            })?;
        }
        Ok(())
    }
}

fn finish(reason: Option<StopReason>, parts: &mut Parts) {
    if let Some(reason) = reason {
        parts.finish(reason.finish());
    }
}
