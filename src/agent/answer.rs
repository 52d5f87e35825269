//! The answer as it grows: the parts that will be stored, and the event for each piece.

use crate::domain::message::text_of;
use crate::domain::{EventBody, MessageId, Part, RunEvent};

/// An answer being written. What is streamed and what is stored come from the same calls,
/// so they cannot differ.
pub(super) struct Answer {
    id: MessageId,
    parts: Vec<Part>,
    text_bytes: usize,
    reasoning_bytes: usize,
}

impl Answer {
    pub(super) fn new(id: MessageId) -> Self {
        Self {
            id,
            parts: Vec::new(),
            text_bytes: 0,
            reasoning_bytes: 0,
        }
    }

    /// The answer that a log's events tell of.
    pub(super) fn replay<'a>(id: MessageId, events: impl Iterator<Item = &'a RunEvent>) -> Self {
        let mut answer = Self::new(id);
        for event in events {
            match &event.body {
                EventBody::TextDelta { delta, .. } => drop(answer.add_text(delta.clone())),
                EventBody::ReasoningDelta { delta, .. } => {
                    drop(answer.add_reasoning(delta.clone()))
                }
                _ => {}
            }
        }
        answer
    }

    pub(super) fn add_text(&mut self, delta: String) -> EventBody {
        self.text_bytes += delta.len();
        match self.parts.last_mut() {
            Some(Part::Text { text }) => text.push_str(&delta),
            _ => self.parts.push(Part::Text {
                text: delta.clone(),
            }),
        }
        EventBody::TextDelta {
            message_id: self.id,
            delta,
            end: self.text_bytes as u64,
        }
    }

    pub(super) fn add_reasoning(&mut self, delta: String) -> EventBody {
        self.reasoning_bytes += delta.len();
        match self.parts.last_mut() {
            Some(Part::Reasoning { text }) => text.push_str(&delta),
            _ => self.parts.push(Part::Reasoning {
                text: delta.clone(),
            }),
        }
        EventBody::ReasoningDelta {
            message_id: self.id,
            delta,
        }
    }

    /// The text after its first `committed` bytes, as one event; for a log that lost some.
    pub(super) fn text_after(&self, committed: usize) -> Option<EventBody> {
        let text = text_of(&self.parts);
        let lost = text.get(committed..).filter(|lost| !lost.is_empty())?;
        Some(EventBody::TextDelta {
            message_id: self.id,
            delta: lost.to_owned(),
            end: self.text_bytes as u64,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.text_bytes + self.reasoning_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}
