//! The encoding of events in log rows. Adjacent pieces of one part are joined into one element that
//! records the end and the time of each piece, so that a reader gets each of them back.
//!
//! A row is a JSON array of elements: `[microseconds, body]` for an event, and for joined pieces
//! `[microseconds, body, lengths, times…]`: the bytes of each piece, and for each level of events
//! inside each other the microseconds since the piece before. Both are run-length encoded: `-n`
//! repeats the number before it `n` times.

use chrono::DateTime;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::StoreError;
use crate::rows::corrupt;
use talkgraph_domain::{EventBody, RunEvent, RunId};

/// The limit of pieces in one row: each becomes an event again for every reader of any of them.
const MOST_PIECES: usize = 1_024;

/// The largest size of a row in bytes: it is always read whole.
const MOST_BYTES: usize = 16 * 1024;

/// About as much as an element takes without its text.
const ELEMENT_BYTES: usize = 110;

/// About as much as a piece takes next to its text.
const PIECE_BYTES: usize = 4;

/// Consecutive events of one run, as one row stores them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed {
    elements: Vec<Element>,
    bytes: usize,
    pieces: usize,
}

/// An event, or joined pieces.
#[derive(Debug, Clone)]
pub(super) struct Element {
    /// The time of the event; of pieces, the time of the first.
    at: i64,
    body: EventBody,
    pieces: Option<Pieces>,
}

/// The ends of joined pieces, and the times at which they came.
#[derive(Debug, Clone)]
struct Pieces {
    lengths: Lengths,
    /// Of each level of events, the microseconds since the piece before.
    times: Vec<Lengths>,
    /// Of each level, the time of the last piece.
    last: Vec<i64>,
}

/// Numbers, run-length encoded.
#[derive(Debug, Clone, Default)]
struct Lengths {
    encoded: Vec<i64>,
    last: Option<i64>,
}

impl Lengths {
    fn push(&mut self, number: i64) {
        if self.last == Some(number) {
            match self.encoded.last_mut() {
                Some(times) if *times < 0 => *times -= 1,
                _ => self.encoded.push(-1),
            }
        } else {
            self.encoded.push(number);
            self.last = Some(number);
        }
    }

    /// The numbers, at most `most`; none if there are more.
    fn decode(encoded: &[i64], most: usize) -> Option<Vec<i64>> {
        let mut numbers: Vec<i64> = Vec::new();
        for number in encoded {
            match numbers.last() {
                _ if *number >= 0 => numbers.push(*number),
                Some(last) => {
                    let times = usize::try_from(number.unsigned_abs()).ok()?;
                    if times > most {
                        return None;
                    }
                    numbers.extend(std::iter::repeat_n(*last, times));
                }
                None => return None,
            }
            if numbers.len() > most {
                return None;
            }
        }
        Some(numbers)
    }
}

impl Packed {
    /// Adds the event that follows.
    pub(crate) fn push(&mut self, event: &RunEvent) {
        self.pieces += 1;
        if let Some(length) = self.elements.last_mut().and_then(|last| last.join(event)) {
            self.bytes += length + PIECE_BYTES;
            return;
        }
        self.bytes += weight(&event.body);
        self.elements.push(Element {
            at: event.at.timestamp_micros(),
            body: event.body.clone(),
            pieces: None,
        });
    }

    /// Returns true when it is large enough for a row of its own.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES || self.pieces >= MOST_PIECES
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Result<String, StoreError> {
        let text = serde_json::to_string(&self.elements);
        text.map_err(|error| corrupt("run_events.events", &error.to_string()))
    }
}

/// About as many bytes as an event takes.
fn weight(body: &EventBody) -> usize {
    match body {
        EventBody::ChildRunEvent { event, .. } => ELEMENT_BYTES + weight(&event.body),
        body => match delta(body) {
            Some(delta) => ELEMENT_BYTES + delta.len(),
            None => serde_json::to_vec(body).map_or(ELEMENT_BYTES, |text| text.len()),
        },
    }
}

/// The text of a piece, however deep it is.
fn delta(body: &EventBody) -> Option<&str> {
    match body {
        EventBody::TextDelta { delta, .. }
        | EventBody::ReasoningDelta { delta, .. }
        | EventBody::ToolCallArgumentsDelta { delta, .. } => Some(delta),
        EventBody::ChildRunEvent { event, .. } => delta(&event.body),
        _ => None,
    }
}

/// The times of the events inside a body, from the outermost on. None if one of them represents
/// several already.
fn inner_times(body: &EventBody) -> Option<Vec<i64>> {
    let (mut times, mut body) = (Vec::new(), body);
    while let EventBody::ChildRunEvent { event, .. } = body {
        if event.first_sequence != event.sequence {
            return None;
        }
        times.push(event.at.timestamp_micros());
        body = &event.body;
    }
    Some(times)
}

/// Appends a piece; false if it is of another part or does not follow.
fn append(body: &mut EventBody, piece: &EventBody) -> bool {
    match (body, piece) {
        (
            EventBody::TextDelta {
                message_id,
                delta,
                end,
            },
            EventBody::TextDelta {
                message_id: of,
                delta: more,
                end: new_end,
            },
        ) if message_id == of && end.checked_add(more.len() as u64) == Some(*new_end) => {
            delta.push_str(more);
            *end = *new_end;
            true
        }
        (
            EventBody::ReasoningDelta {
                message_id,
                delta,
                signature: end @ None,
            },
            EventBody::ReasoningDelta {
                message_id: of,
                delta: more,
                signature,
            },
        ) if message_id == of => {
            delta.push_str(more);
            end.clone_from(signature);
            true
        }
        (
            EventBody::ToolCallArgumentsDelta {
                tool_call_id,
                delta,
            },
            EventBody::ToolCallArgumentsDelta {
                tool_call_id: of,
                delta: more,
            },
        ) if tool_call_id == of => {
            delta.push_str(more);
            true
        }
        (
            EventBody::ChildRunEvent {
                tool_call_id,
                event,
            },
            EventBody::ChildRunEvent {
                tool_call_id: of,
                event: more,
            },
        ) if tool_call_id == of
            && event.run_id == more.run_id
            && event.sequence.checked_add(1) == Some(more.sequence) =>
        {
            let appended = append(&mut event.body, &more.body);
            if appended {
                event.sequence = more.sequence;
            }
            appended
        }
        _ => false,
    }
}

impl Element {
    /// Joins the piece that follows; its length. None if it cannot be joined.
    fn join(&mut self, event: &RunEvent) -> Option<usize> {
        let length = delta(&event.body)?.len();
        let mut times = vec![event.at.timestamp_micros()];
        times.extend(inner_times(&event.body)?);
        let mut pieces = match self.pieces.take() {
            Some(pieces) => pieces,
            None => Pieces::first(self.at, &self.body)?,
        };
        let joined = pieces.follows(&times) && append(&mut self.body, &event.body);
        if joined {
            pieces.push(length, times);
        }
        // One piece alone is a plain event.
        self.pieces = Some(pieces).filter(Pieces::are_several);
        joined.then_some(length)
    }

    pub(super) fn body(&self) -> &EventBody {
        &self.body
    }

    /// The number of events it represents.
    fn count(&self) -> Option<usize> {
        match &self.pieces {
            None => Some(1),
            Some(pieces) => {
                let lengths = Lengths::decode(&pieces.lengths.encoded, self.most())?;
                Some(lengths.len())
            }
        }
    }

    /// The most pieces that it may have: the limit when it was written may have been another.
    fn most(&self) -> usize {
        delta(&self.body).map_or(0, str::len) + MOST_PIECES * 64
    }

    /// Appends its events, of which the first has the number `first`, to `events`, as far as they
    /// come after `after`. Returns the number it represents.
    pub(super) fn events(
        self,
        run_id: RunId,
        first: u64,
        after: u64,
        events: &mut Vec<RunEvent>,
    ) -> Option<u64> {
        let Some(pieces) = &self.pieces else {
            if first > after {
                events.push(event(run_id, first, self.at, self.body)?);
            }
            return Some(1);
        };
        let count = self.count()?;
        let lengths = Lengths::decode(&pieces.lengths.encoded, count)?;
        let times = pieces.times.iter();
        let times = times.map(|times| Lengths::decode(&times.encoded, count));
        let times = times.collect::<Option<Vec<_>>>()?;
        let mut at = vec![self.at];
        at.extend(inner_starts(&self.body));
        if times.len() != at.len() || times.iter().any(|times| times.len() != count) {
            return None;
        }
        let (text, mut start) = (delta(&self.body)?, 0_usize);
        for (index, length) in lengths.iter().enumerate() {
            for (at, times) in at.iter_mut().zip(&times) {
                *at = at.checked_add(*times.get(index)?)?;
            }
            let end = start.checked_add(usize::try_from(*length).ok()?)?;
            let sequence = first.checked_add(index as u64)?;
            if sequence > after {
                let piece = Piece {
                    index: index as u64,
                    text: text.get(start..end)?,
                    left: text.len().checked_sub(end)?,
                    is_last: index + 1 == count,
                };
                let body = piece.of(&self.body, at.get(1..)?)?;
                events.push(event(run_id, sequence, *at.first()?, body)?);
            }
            start = end;
        }
        (start == text.len()).then_some(count as u64)
    }
}

/// The times at which the events inside a body, which may represent several, began.
fn inner_starts(mut body: &EventBody) -> Vec<i64> {
    let mut starts = Vec::new();
    while let EventBody::ChildRunEvent { event, .. } = body {
        starts.push(event.at.timestamp_micros());
        body = &event.body;
    }
    starts
}

fn event(run_id: RunId, sequence: u64, at: i64, body: EventBody) -> Option<RunEvent> {
    Some(RunEvent {
        run_id,
        sequence,
        first_sequence: sequence,
        at: DateTime::from_timestamp_micros(at)?,
        body,
    })
}

impl Pieces {
    /// Of one piece, to which others may be joined.
    fn first(at: i64, body: &EventBody) -> Option<Self> {
        let mut last = vec![at];
        last.extend(inner_times(body)?);
        let mut pieces = Self {
            lengths: Lengths::default(),
            times: vec![Lengths::default(); last.len()],
            last: last.clone(),
        };
        pieces.push(delta(body)?.len(), last);
        Some(pieces)
    }

    fn are_several(&self) -> bool {
        self.lengths.encoded.len() > 1
    }

    /// Returns true when a piece came after the last one. A clock may have been set back.
    fn follows(&self, times: &[i64]) -> bool {
        let mut both = self.last.iter().zip(times);
        self.last.len() == times.len() && both.all(|(last, time)| last <= time)
    }

    fn push(&mut self, length: usize, times: Vec<i64>) {
        self.lengths.push(i64::try_from(length).unwrap_or(i64::MAX));
        let both = times.iter().zip(&self.last);
        for (encoded, (time, last)) in self.times.iter_mut().zip(both) {
            encoded.push(time - last);
        }
        self.last = times;
    }
}

/// One of the pieces that were joined.
struct Piece<'a> {
    index: u64,
    text: &'a str,
    /// The bytes of text after it.
    left: usize,
    is_last: bool,
}

impl Piece<'_> {
    /// Its body, cut from that of all; `at` is when the events inside happened.
    fn of(&self, all: &EventBody, at: &[i64]) -> Option<EventBody> {
        let delta = self.text.to_owned();
        Some(match all {
            EventBody::TextDelta {
                message_id, end, ..
            } => EventBody::TextDelta {
                message_id: *message_id,
                delta,
                end: end.checked_sub(self.left as u64)?,
            },
            EventBody::ReasoningDelta {
                message_id,
                signature,
                ..
            } => EventBody::ReasoningDelta {
                message_id: *message_id,
                delta,
                signature: signature.clone().filter(|_| self.is_last),
            },
            EventBody::ToolCallArgumentsDelta { tool_call_id, .. } => {
                EventBody::ToolCallArgumentsDelta {
                    tool_call_id: *tool_call_id,
                    delta,
                }
            }
            EventBody::ChildRunEvent {
                tool_call_id,
                event: all,
            } => {
                let (own, inner) = at.split_first()?;
                let sequence = all.first_sequence.checked_add(self.index)?;
                let body = self.of(&all.body, inner)?;
                EventBody::ChildRunEvent {
                    tool_call_id: *tool_call_id,
                    event: Box::new(event(all.run_id, sequence, *own, body)?),
                }
            }
            _ => return None,
        })
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        sequence.serialize_element(&self.at)?;
        sequence.serialize_element(&self.body)?;
        if let Some(pieces) = &self.pieces {
            sequence.serialize_element(&pieces.lengths.encoded)?;
            for times in &pieces.times {
                sequence.serialize_element(&times.encoded)?;
            }
        }
        sequence.end()
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements)
    }
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Element;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("an event of a log row")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Element, A::Error> {
        let missing = || A::Error::custom("an event lacks its time or body");
        let at = parts.next_element()?.ok_or_else(missing)?;
        let body = parts.next_element()?.ok_or_else(missing)?;
        let encoded = |encoded| Lengths {
            encoded,
            last: None,
        };
        let Some(lengths) = parts.next_element()? else {
            return Ok(Element {
                at,
                body,
                pieces: None,
            });
        };
        let mut times = Vec::new();
        while let Some(more) = parts.next_element()? {
            times.push(encoded(more));
        }
        let pieces = Some(Pieces {
            lengths: encoded(lengths),
            times,
            last: Vec::new(),
        });
        Ok(Element { at, body, pieces })
    }
}
