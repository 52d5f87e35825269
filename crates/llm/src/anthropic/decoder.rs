//! Decoding of a stream's events.

use super::event::{Block, BlockKind, Counts, Delta, Event, Kind, StopReason};
use super::{REDACTED, SIGNED};
use crate::calls::CallDelta;
use crate::lenient::{Id, Json, Problem, parse};
use crate::parts::{Parts, ReadError};
use crate::protocol::Decode;
use crate::provider_error::ProviderError;
use crate::sse::SseEvent;

#[cfg(test)]
mod tests;

/// The state between two events.
#[derive(Default)]
pub(super) struct Decoder {
    counts: Counts,
    /// The signature of the current thinking block.
    signature: String,
    /// The block that started last. According to the documentation, blocks are sequential.
    current: u64,
    /// The blocks of tool calls that are not complete yet.
    calls: Vec<CallBlock>,
}

/// A tool call's block.
struct CallBlock {
    index: u64,
    /// The input before any delta.
    input: Option<Json>,
    is_stopped: bool,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        // Not part of this protocol, but imitations end with it.
        if event.data.trim_ascii() == "[DONE]" {
            return parts.end();
        }
        let read: Event = parse(event.data).map_err(|error| parts.unreadable(&error))?;
        // Some send the type only as the event's name.
        let kind = read.r#type.unwrap_or_else(|| Kind::named(event.name));
        self.read(kind, read, parts)
    }

    fn whole(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError> {
        let event: Event = parse(body).map_err(|error| parts.unreadable(&error))?;
        let kind = event.r#type.unwrap_or(Kind::Message);
        self.read(kind, event, parts)
    }
}

impl Decoder {
    fn read(&mut self, kind: Kind, event: Event, parts: &mut Parts) -> Result<(), ReadError> {
        if let Some(Problem(error)) = event.error {
            return Err(parts.fault(&ProviderError::of_value(&error)));
        }
        match kind {
            Kind::MessageStart => {
                self.count(event.message.and_then(|message| message.usage), parts);
            }
            Kind::ContentBlockStart => {
                let block = event.content_block.unwrap_or_default();
                self.start(
                    event.index.unwrap_or(self.current.saturating_add(1)),
                    block,
                    parts,
                )?;
            }
            Kind::ContentBlockDelta => {
                self.delta(event.index, event.delta.unwrap_or_default(), parts)?;
            }
            Kind::ContentBlockStop => self.stop(event.index, parts)?,
            Kind::MessageDelta => {
                self.count(event.usage, parts);
                finish(event.delta.and_then(|delta| delta.stop_reason), parts);
            }
            Kind::MessageStop => parts.end()?,
            Kind::Error => return Err(parts.fault(&ProviderError::default())),
            Kind::Message if event.content.is_some() || event.stop_reason.is_some() => {
                self.message(event, parts)?;
            }
            Kind::Message | Kind::Other => {}
        }
        Ok(())
    }

    /// Decodes a whole message, whose content may have been streamed before.
    fn message(&mut self, message: Event, parts: &mut Parts) -> Result<(), ReadError> {
        let is_said = parts.seen() > 0;
        let blocks = message.content.filter(|_| !is_said);
        for (index, block) in (0..).zip(blocks.unwrap_or_default()) {
            self.start(index, block, parts)?;
            self.stop(Some(index), parts)?;
        }
        self.count(message.usage, parts);
        finish(message.stop_reason, parts);
        parts.end()
    }

    fn count(&mut self, counts: Option<Counts>, parts: &mut Parts) {
        if let Some(counts) = counts {
            self.counts = counts.or(self.counts);
            if let Some(usage) = self.counts.into_usage() {
                parts.usage(usage);
            }
        }
    }

    fn start(&mut self, index: u64, block: Block, parts: &mut Parts) -> Result<(), ReadError> {
        // Only now is it certain that an earlier call is complete: one that was cut by a limit is
        // stopped like any other.
        self.calls.retain(|call| {
            if call.is_stopped {
                parts.call_completed(call.index);
            }
            !call.is_stopped
        });
        self.current = index;
        match block.r#type {
            Some(BlockKind::Text) => parts.text(block.text),
            Some(BlockKind::Thinking) => {
                parts.reasoning(block.thinking);
                self.signature = block.signature.unwrap_or_default();
            }
            Some(BlockKind::RedactedThinking) => {
                parts.signature(REDACTED, &block.data.unwrap_or_default());
            }
            Some(BlockKind::ToolUse) => {
                self.calls.push(CallBlock {
                    index,
                    input: block.input,
                    is_stopped: false,
                });
                parts.call(CallDelta {
                    key: Some(index),
                    id: block.id.map(|Id(id)| id),
                    name: block.name,
                    arguments: None,
                })?;
            }
            None => {}
        }
        Ok(())
    }

    fn delta(
        &mut self,
        index: Option<u64>,
        delta: Delta,
        parts: &mut Parts,
    ) -> Result<(), ReadError> {
        parts.text(delta.text);
        parts.reasoning(delta.thinking);
        self.signature.extend(delta.signature);
        // The vendor's own tools have arguments too.
        let index = index.unwrap_or(self.current);
        let is_ours = self.calls.iter().any(|call| call.index == index);
        if let Some(arguments) = delta.partial_json.filter(|_| is_ours) {
            parts.call(CallDelta {
                key: Some(index),
                arguments: Some(arguments),
                ..CallDelta::default()
            })?;
        }
        Ok(())
    }

    fn stop(&mut self, index: Option<u64>, parts: &mut Parts) -> Result<(), ReadError> {
        let signature = std::mem::take(&mut self.signature);
        if !signature.is_empty() {
            parts.signature(SIGNED, &signature);
        }
        let index = index.unwrap_or(self.current);
        let Some(call) = self.calls.iter_mut().rfind(|call| call.index == index) else {
            return Ok(());
        };
        call.is_stopped = true;
        // Imitations send the whole input when the block starts.
        match call.input.take() {
            Some(Json(input)) if !parts.has_arguments(index) => parts.call(CallDelta {
                key: Some(index),
                arguments: Some(input),
                ..CallDelta::default()
            }),
            _ => Ok(()),
        }
    }
}

fn finish(reason: Option<StopReason>, parts: &mut Parts) {
    if let Some(reason) = reason {
        parts.finish(reason.finish());
    }
}
