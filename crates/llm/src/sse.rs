//! Server-sent events: the decoder of every streaming provider.
//!
//! Follows the parsing rules of the WHATWG standard, except for `id` and `retry`, which serve
//! reconnection: a model's answer cannot be resumed, so both are skipped. The existing crates
//! buffer without a limit, which is unsafe for streams of other servers.

use std::borrow::Cow;

use memchr::memchr2;
use thiserror::Error;

use super::json_repair;

#[cfg(test)]
mod tests;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event, borrowed from the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SseEvent<'a> {
    /// The event's type; `message` if the stream gives none.
    pub(crate) name: &'a str,
    /// The data lines, joined by line feeds.
    pub(crate) data: &'a str,
}

/// The reason why a stream of events cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum SseError {
    /// A line, or an event's data, is longer than the limit.
    #[error("an event is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Decodes events from a stream of bytes that may be cut into chunks anywhere.
///
/// It holds at most one unfinished line and one unfinished event, each bounded by the limit given
/// to [`SseDecoder::new`]. Events within one chunk are not copied.
#[derive(Debug)]
pub(crate) struct SseDecoder {
    limit: usize,
    /// The start of an unfinished line.
    line: Vec<u8>,
    /// The unfinished event: its data so far, none if it has no data line yet.
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    /// The last chunk ended in CR: an LF at the start of the next belongs to it.
    after_cr: bool,
    at_start: bool,
    /// The number of comments and events so far, which shows that the sender is alive.
    signs: u64,
}

enum Field<'a> {
    Data(&'a [u8]),
    Name(&'a [u8]),
    Comment,
    Ignored,
}

impl SseDecoder {
    /// Creates a decoder that refuses lines, and data of events, of more than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            name: Vec::new(),
            after_cr: false,
            at_start: true,
            signs: 0,
        }
    }

    /// The number of comments and events so far.
    pub(crate) fn signs(&self) -> u64 {
        self.signs
    }

    /// Reads a chunk and calls `on_event` for each event that it completes.
    ///
    /// Data that is left when the stream ends is an unfinished event, which the standard discards:
    /// drop the decoder. After an error, the decoder's or `on_event`'s, the rest of the chunk is
    /// lost and the decoder must not be fed again.
    pub(crate) fn feed<'c, E: From<SseError>>(
        &mut self,
        mut chunk: &'c [u8],
        mut on_event: impl FnMut(SseEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        // An event's only data line, while it can be borrowed from the chunk.
        let mut held: Option<&'c [u8]> = None;
        while let Some(end) = memchr2(b'\n', b'\r', chunk) {
            let line = &chunk[..end];
            chunk = self.after_line_end(&chunk[end..]);
            if self.line.is_empty() {
                self.check(line.len())?;
                let line = self.without_bom(line);
                if line.is_empty() {
                    self.dispatch(held.take(), &mut on_event)?;
                    continue;
                }
                match field(line) {
                    Field::Data(value) if !self.has_data && held.is_none() => held = Some(value),
                    field => {
                        self.keep(held.take())?;
                        self.apply(field)?;
                    }
                }
            } else {
                self.extend_line(line)?;
                let whole = std::mem::take(&mut self.line);
                let line = self.without_bom(&whole);
                if line.is_empty() {
                    self.dispatch(None, &mut on_event)?;
                } else {
                    self.apply(field(line))?;
                }
                self.line = whole;
                self.line.clear();
            }
        }
        self.keep(held)?;
        self.extend_line(chunk)?;
        Ok(())
    }

    /// The rest after the line end at the start of `rest`.
    fn after_line_end<'c>(&mut self, rest: &'c [u8]) -> &'c [u8] {
        match rest {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r'] => {
                self.after_cr = true;
                &[]
            }
            [_, rest @ ..] => rest,
            [] => &[],
        }
    }

    fn without_bom<'l>(&mut self, line: &'l [u8]) -> &'l [u8] {
        if std::mem::replace(&mut self.at_start, false) {
            line.strip_prefix(BOM).unwrap_or(line)
        } else {
            line
        }
    }

    fn apply(&mut self, field: Field<'_>) -> Result<(), SseError> {
        match field {
            Field::Data(value) => self.keep(Some(value))?,
            Field::Name(value) => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            Field::Comment => self.signs += 1,
            Field::Ignored => {}
        }
        Ok(())
    }

    /// Copies a data line into the unfinished event.
    fn keep(&mut self, value: Option<&[u8]>) -> Result<(), SseError> {
        let Some(value) = value else { return Ok(()) };
        // The line feed counts too, or empty data lines would grow the buffer without end.
        self.check(self.data.len() + usize::from(self.has_data) + value.len())?;
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    /// Checked before the buffer grows: an endless line must not take memory.
    fn extend_line(&mut self, more: &[u8]) -> Result<(), SseError> {
        self.check(self.line.len() + more.len())?;
        self.line.extend_from_slice(more);
        Ok(())
    }

    fn check(&self, len: usize) -> Result<(), SseError> {
        if len > self.limit {
            return Err(SseError::TooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Emits the event that a blank line has completed, if it has data.
    fn dispatch<E: From<SseError>>(
        &mut self,
        held: Option<&[u8]>,
        on_event: &mut impl FnMut(SseEvent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if held.is_some() || self.has_data {
            self.signs += 1;
            let name = match self.name.as_slice() {
                [] => "message",
                name => std::str::from_utf8(name).unwrap_or("message"),
            };
            let data = text(held.unwrap_or(&self.data));
            let data = &*data;
            on_event(SseEvent { name, data })?;
        }
        self.data.clear();
        self.has_data = false;
        self.name.clear();
        Ok(())
    }
}

/// Converts bytes to text and marks those that are not UTF-8: they may be half a character, whose
/// other half is in the next event.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(json_repair::utf8(bytes)),
    }
}

fn field(line: &[u8]) -> Field<'_> {
    if line.first() == Some(&b':') {
        Field::Comment
    } else if let Some(value) = value_of(line, b"data") {
        Field::Data(value)
    } else if let Some(value) = value_of(line, b"event") {
        Field::Name(value)
    } else {
        Field::Ignored
    }
}

/// The value of a line that is the named field. One space after the colon is not part
/// of it; a name without a colon has an empty value.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}
