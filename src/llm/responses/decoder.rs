//! From a stream's events to parts.

use serde::Deserialize;
use serde_json::Value;

use super::SIGNED;
use super::event::{Event, Head, Incomplete, Item, ItemKind, Kind, Piece, Response, Status};
use crate::domain::FinishReason;
use crate::llm::calls::CallDelta;
use crate::llm::fault::Fault;
use crate::llm::parts::{Parts, ReadError};
use crate::llm::protocol::Decode;
use crate::llm::sse::SseEvent;

#[cfg(test)]
mod tests;

/// What has to be remembered between two events.
#[derive(Default)]
pub(super) struct Decoder {
    /// The last item of which a text or a reasoning has been streamed.
    streamed: Option<u64>,
    /// The model would not answer.
    refused: bool,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        let data = event.data;
        // Not of this protocol, but imitations end with it.
        if data.trim_ascii() == "[DONE]" {
            return parts.end();
        }
        let kind = read::<Head>(data, parts)?.r#type;
        match kind {
            Kind::Other => Ok(()),
            Kind::Error => {
                let error = read::<Value>(data, parts)?;
                Err(parts.fault(&Fault::of_value(error.get("error").unwrap_or(&error))))
            }
            kind => {
                let event = read(data, parts)?;
                self.read(kind, event, parts)
            }
        }
    }

    fn whole(&mut self, body: &[u8], parts: &mut Parts) -> Result<(), ReadError> {
        let mut response: Response =
            serde_json::from_slice(body).map_err(|error| parts.unreadable(&error))?;
        let output = response.output.take();
        if output.is_some() {
            for (index, item) in (0..).zip(output.into_iter().flatten()) {
                self.done(index, item, parts)?;
            }
        } else if response.error.is_none() {
            // Something else altogether: it has no output and no error.
            return Ok(());
        }
        self.end(response, parts)
    }
}

impl Decoder {
    fn read(&mut self, kind: Kind, event: Event, parts: &mut Parts) -> Result<(), ReadError> {
        let index = event.output_index;
        match kind {
            Kind::Text | Kind::Refusal => {
                self.refused |= kind == Kind::Refusal;
                self.streamed = Some(index);
                parts.text(event.delta);
            }
            Kind::SummaryAdded if event.summary_index > 0 => {
                parts.reasoning(Some("\n\n".to_owned()));
            }
            Kind::Summary | Kind::Reasoning => {
                self.streamed = Some(index);
                parts.reasoning(event.delta);
            }
            Kind::ItemAdded => {
                if let Some(item) = event
                    .item
                    .filter(|item| item.r#type == ItemKind::FunctionCall)
                {
                    parts.call(CallDelta {
                        key: Some(index),
                        id: item.call_id.or(item.id),
                        name: item.name,
                        arguments: None,
                    })?;
                }
            }
            Kind::Arguments => arguments(index, event.delta, parts)?,
            Kind::ArgumentsDone if !parts.has_arguments(index) => {
                arguments(index, event.arguments, parts)?;
            }
            Kind::ItemDone => {
                if let Some(item) = event.item {
                    self.done(index, item, parts)?;
                }
            }
            Kind::Completed | Kind::Incomplete | Kind::Failed | Kind::Cancelled => {
                let mut response = event.response.unwrap_or_else(Response::empty);
                response.status = match kind {
                    Kind::Incomplete => Some(Status::Incomplete),
                    Kind::Completed => response.status,
                    _ => Some(Status::Failed),
                };
                return self.end(response, parts);
            }
            _ => {}
        }
        Ok(())
    }

    /// An item is complete: gives what has not been streamed of it.
    fn done(&mut self, index: u64, item: Item, parts: &mut Parts) -> Result<(), ReadError> {
        let is_new = self.streamed != Some(index);
        match item.r#type {
            ItemKind::Message if is_new => {
                for piece in item.content.into_iter().flatten() {
                    self.refused |= piece.refusal.is_some();
                    parts.text(piece.text.or(piece.refusal));
                }
            }
            ItemKind::Reasoning => {
                if is_new {
                    let pieces = item.summary.into_iter().chain(item.content).flatten();
                    let texts: Vec<_> = pieces.filter_map(|piece: Piece| piece.text).collect();
                    parts.reasoning(Some(texts.join("\n\n")));
                }
                if let (Some(id), Some(encrypted)) = (item.id, item.encrypted_content) {
                    parts.signature(SIGNED, &format!("{id}:{encrypted}"));
                }
            }
            ItemKind::FunctionCall => {
                let unsaid = item.arguments.filter(|_| !parts.has_arguments(index));
                parts.call(CallDelta {
                    key: Some(index),
                    id: item.call_id.or(item.id),
                    name: item.name,
                    arguments: unsaid,
                })?;
                if item.status != Some(Status::Incomplete) {
                    parts.call_completed(index);
                }
            }
            ItemKind::Message | ItemKind::Other => {}
        }
        Ok(())
    }

    fn end(&self, response: Response, parts: &mut Parts) -> Result<(), ReadError> {
        if let Some(usage) = response.usage {
            parts.usage(usage.usage());
        }
        if let Some(error) = response.error {
            return Err(parts.fault(&Fault::of_value(&error)));
        }
        let incomplete = response.incomplete_details;
        parts.finish(match response.status {
            Some(Status::Failed | Status::Cancelled) => {
                return Err(parts.fault(&Fault::default()));
            }
            Some(Status::Incomplete) => incomplete.map_or(FinishReason::Length, Incomplete::finish),
            _ if self.refused => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        });
        parts.end()
    }
}

impl Response {
    fn empty() -> Self {
        Self {
            status: None,
            output: None,
            usage: None,
            error: None,
            incomplete_details: None,
        }
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a str, parts: &Parts) -> Result<T, ReadError> {
    serde_json::from_str(data).map_err(|error| parts.unreadable(&error))
}

fn arguments(index: u64, arguments: Option<String>, parts: &mut Parts) -> Result<(), ReadError> {
    parts.call(CallDelta {
        key: Some(index),
        arguments,
        ..CallDelta::default()
    })
}
