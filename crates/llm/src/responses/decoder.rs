//! Decoding of a stream's events.

use super::SIGNED;
use super::event::{Event, Incomplete, Item, ItemKind, Kind, Piece, Response, Status};
use super::items::{ItemIds, Items};
use crate::calls::CallDelta;
use crate::lenient::{Id, Json, Problem, parse};
use crate::parts::{Parts, ReadError};
use crate::protocol::Decode;
use crate::provider_error::ProviderError;
use crate::sse::SseEvent;
use talkgraph_domain::FinishReason;

#[cfg(test)]
mod tests;

/// The state between two events.
#[derive(Default)]
pub(super) struct Decoder {
    items: Items,
    /// The model has refused to answer.
    refused: bool,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        let data = event.data;
        // Not part of this protocol, but imitations end with it.
        if data.trim_ascii() == "[DONE]" {
            return parts.end();
        }
        let read: Event = parse(data).map_err(|error| parts.unreadable(&error))?;
        // Some send the type only as the event's name.
        match read.r#type.unwrap_or_else(|| Kind::named(event.name)) {
            Kind::Other if read.r#type.is_none() => self.bare(read, parts),
            Kind::Error => {
                let error = read.error.map(|Problem(error)| error);
                let fault = match error {
                    Some(error) => ProviderError::of_value(&error),
                    None => ProviderError::of_body(data.as_bytes()),
                };
                Err(parts.fault(&fault))
            }
            kind => self.read(kind, read, parts),
        }
    }

    fn whole(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError> {
        let name = "message";
        self.event(SseEvent { name, data: body }, parts)
    }
}

impl Decoder {
    /// Decodes a response by itself; any other object has no output and no error.
    fn bare(&mut self, event: Event, parts: &mut Parts) -> Result<(), ReadError> {
        if event.output.is_none() && event.error.is_none() {
            return Ok(());
        }
        self.end(event.into(), parts)
    }

    fn read(&mut self, kind: Kind, event: Event, parts: &mut Parts) -> Result<(), ReadError> {
        let index = event.output_index;
        match kind {
            Kind::Text | Kind::TextDone | Kind::Refusal | Kind::RefusalDone => {
                self.text(kind, event, parts);
            }
            Kind::SummaryAdded
                if event.summary_index.is_some_and(|index| index > 0) && parts.has_reasoning() =>
            {
                parts.reasoning(Some("\n\n".to_owned()));
            }
            Kind::Summary | Kind::Reasoning | Kind::SummaryDone | Kind::ReasoningDone => {
                self.reasoning(kind, event, parts);
            }
            Kind::ItemAdded => {
                let item = event.item.unwrap_or_default();
                if item.r#type == Some(ItemKind::FunctionCall) {
                    let key = self.place(ItemKind::FunctionCall, index, &ItemIds::of(&item));
                    self.announce(key, item, parts)?;
                }
            }
            Kind::Arguments | Kind::ArgumentsDone => {
                let named = ItemIds::named(&event.item_id);
                let key = self.place(ItemKind::FunctionCall, index, &named);
                match kind {
                    Kind::Arguments => arguments(key, event.delta, parts)?,
                    _ => whole_arguments(key, event.arguments, parts)?,
                }
            }
            Kind::ItemDone => {
                if let Some(item) = event.item {
                    self.done(index, item, parts)?;
                }
            }
            Kind::Completed | Kind::Incomplete | Kind::Failed | Kind::Cancelled => {
                let mut response = event.response.unwrap_or_default();
                response.status = match kind {
                    Kind::Incomplete => Some(Status::Incomplete),
                    Kind::Completed => response.status,
                    _ => Some(Status::Failed),
                };
                return self.end(response, parts);
            }
            Kind::SummaryAdded | Kind::Error | Kind::Other => {}
        }
        Ok(())
    }

    fn place(&mut self, kind: ItemKind, index: Option<u64>, ids: &ItemIds<'_>) -> usize {
        self.items.find(kind, index, ids)
    }

    /// Adds a text, piece by piece or at its end.
    fn text(&mut self, kind: Kind, event: Event, parts: &mut Parts) {
        let named = ItemIds::named(&event.item_id);
        let at = self.place(ItemKind::Message, event.output_index, &named);
        self.refused |= matches!(kind, Kind::Refusal | Kind::RefusalDone);
        let piece = event.content_index.unwrap_or(0);
        match kind {
            Kind::Text | Kind::Refusal => parts.text(self.delta(at, piece, event.delta)),
            _ => parts.text(self.unsaid(at, piece, event.text.or(event.refusal))),
        }
    }

    /// Adds a reasoning, piece by piece or at its end.
    fn reasoning(&mut self, kind: Kind, event: Event, parts: &mut Parts) {
        let named = ItemIds::named(&event.item_id);
        let at = self.place(ItemKind::Reasoning, event.output_index, &named);
        let piece = event.summary_index.or(event.content_index).unwrap_or(0);
        match kind {
            Kind::Summary | Kind::Reasoning => parts.reasoning(self.delta(at, piece, event.delta)),
            _ => parts.reasoning(self.unsaid(at, piece, event.text)),
        }
    }

    /// Records a delta of a piece.
    fn delta(&mut self, at: usize, piece: u64, delta: Option<String>) -> Option<String> {
        if let (Some(item), Some(delta)) = (self.items.at(at), &delta) {
            item.says(piece);
            item.adds(piece, delta);
        }
        delta
    }

    /// The whole text of a piece, unless it was emitted before.
    fn unsaid(&mut self, at: usize, piece: u64, text: Option<String>) -> Option<String> {
        let text = text?;
        let Some(item) = self.items.at(at) else {
            return Some(text);
        };
        let is_new = item.says(piece) && !item.has(&text);
        if is_new {
            item.adds(piece, &text);
        }
        is_new.then_some(text)
    }

    /// Completes an item: emits the parts of it that were not emitted before.
    fn done(&mut self, index: Option<u64>, item: Item, parts: &mut Parts) -> Result<(), ReadError> {
        let Some(kind) = item.r#type else {
            return Ok(());
        };
        let at = self.place(kind, index, &ItemIds::of(&item));
        match kind {
            ItemKind::Message => self.message(at, item, parts),
            ItemKind::Reasoning => self.thought(at, item, parts),
            ItemKind::FunctionCall => {
                let is_cut = item.status == Some(Status::Incomplete);
                let unsaid = self.announce(at, item, parts)?;
                whole_arguments(at, unsaid, parts)?;
                if !is_cut {
                    parts.call_completed(at as u64);
                }
            }
        }
        Ok(())
    }

    /// Starts a call, once, and returns its arguments.
    fn announce(
        &mut self,
        at: usize,
        item: Item,
        parts: &mut Parts,
    ) -> Result<Option<Json>, ReadError> {
        let has_name = item.name.as_ref().is_some_and(|name| !name.is_empty());
        let known = self.items.at(at);
        let is_said = known.is_some_and(|known| {
            let was_said = known.is_announced;
            known.is_announced |= has_name;
            was_said
        });
        if !is_said {
            parts.call(CallDelta {
                key: Some(at as u64),
                id: item.call_id.or(item.id).map(|Id(id)| id),
                name: item.name,
                arguments: None,
            })?;
        }
        Ok(item.arguments)
    }

    fn message(&mut self, at: usize, item: Item, parts: &mut Parts) {
        for (index, piece) in (0..).zip(item.content.into_iter().flatten()) {
            self.refused |= piece.refusal.is_some();
            parts.text(self.unsaid(at, index, piece.text.or(piece.refusal)));
        }
    }

    fn thought(&mut self, at: usize, item: Item, parts: &mut Parts) {
        let Some(known) = self.items.at(at) else {
            return;
        };
        if known.said == 0 {
            known.said = 1;
            let pieces = item.summary.into_iter().chain(item.content).flatten();
            let texts: Vec<_> = pieces.filter_map(|piece: Piece| piece.text).collect();
            parts.reasoning(Some(texts.join("\n\n")));
        }
        if let (Some(Id(id)), Some(encrypted)) = (item.id, item.encrypted_content)
            && !std::mem::replace(&mut known.is_signed, true)
        {
            parts.signature(SIGNED, &format!("{id}:{encrypted}"));
        }
    }

    /// Decodes the output as a whole. Most of it was emitted before.
    fn output(&mut self, output: Vec<Item>, parts: &mut Parts) -> Result<(), ReadError> {
        let (had_text, had_reasoning) = (parts.has_text(), parts.has_reasoning());
        let had_calls = parts.has_calls();
        for (index, item) in (0..).zip(output) {
            let Some(kind) = item.r#type else {
                continue;
            };
            let ids = ItemIds::of(&item);
            let is_known = self.items.known(kind, Some(index), &ids).is_some();
            // An item that cannot be distinguished from an emitted one is not emitted again.
            let is_said = !is_known
                && match kind {
                    ItemKind::Message => had_text,
                    ItemKind::Reasoning => had_reasoning || had_text || had_calls,
                    ItemKind::FunctionCall => had_calls && ids.call_id.or(ids.id).is_none(),
                };
            if !is_said {
                self.done(Some(index), item, parts)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, mut response: Response, parts: &mut Parts) -> Result<(), ReadError> {
        if let Some(usage) = response.usage.and_then(|usage| usage.into_usage()) {
            parts.usage(usage);
        }
        if let Some(Problem(error)) = response.error {
            return Err(parts.fault(&ProviderError::of_value(&error)));
        }
        if matches!(response.status, Some(Status::Failed | Status::Cancelled)) {
            return Err(parts.fault(&ProviderError::default()));
        }
        self.output(response.output.take().unwrap_or_default(), parts)?;
        let incomplete = response.incomplete_details.as_ref();
        parts.finish(match response.status {
            Some(Status::Incomplete) => incomplete.map_or(FinishReason::Length, Incomplete::finish),
            _ if self.refused => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        });
        parts.end()
    }
}

fn arguments(key: usize, delta: Option<String>, parts: &mut Parts) -> Result<(), ReadError> {
    parts.call(CallDelta {
        key: Some(key as u64),
        arguments: delta,
        ..CallDelta::default()
    })
}

fn whole_arguments(key: usize, whole: Option<Json>, parts: &mut Parts) -> Result<(), ReadError> {
    match whole {
        Some(Json(whole)) if !whole.is_empty() => parts.whole_arguments(key as u64, whole),
        _ => Ok(()),
    }
}
