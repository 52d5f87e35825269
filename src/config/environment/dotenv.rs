//! The `.env` file. Its errors name a line by its number and never show a value.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::rc::Rc;

use crate::config::limited::{self, ReadError};
use crate::config::{ConfigError, Sources};
use talkgraph_domain::redact;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The variables of the file, if there is one.
pub(super) fn read(sources: &Sources) -> Result<HashMap<String, String>, ConfigError> {
    let Some(path) = sources.dotenv.as_ref().filter(|path| path.exists()) else {
        return Ok(HashMap::new());
    };
    let failed = |why: String| ConfigError::Unreadable(format!("{}: {why}", path.display()));
    let text = limited::read_text(path, MAX_BYTES).map_err(|error| {
        failed(match error {
            ReadError::File(error) => error.to_string(),
            ReadError::TooLarge => format!("it has more than {MAX_BYTES} bytes"),
            ReadError::NotText => "it is not UTF-8".to_owned(),
        })
    })?;
    variables(&text).map_err(failed)
}

fn variables(text: &str) -> Result<HashMap<String, String>, String> {
    let given = Rc::new(Cell::new(0));
    let mut items = dotenvy::from_read_iter(Lines {
        rest: text,
        given: Rc::clone(&given),
    });
    let mut variables = HashMap::new();
    loop {
        let before = given.get();
        match items.next() {
            None => return Ok(variables),
            Some(Ok((name, value))) => {
                variables.insert(name, value);
            }
            // The error repeats a part of the line, which may have a secret.
            Some(Err(dotenvy::Error::LineParse(..))) => return Err(wrong_line(text, before)),
            Some(Err(error)) => return Err(error.to_string()),
        }
    }
}

/// Names the first line after `before` lines that is neither blank nor a comment: the one that
/// cannot be read.
fn wrong_line(text: &str, before: usize) -> String {
    let is_read = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut lines = text.lines().enumerate().skip(before);
    let line = lines.find(|(_, line)| is_read(line));
    let (at, line) = line.unwrap_or((before, ""));
    let name = line.split_once('=').map_or("", |(name, _)| name.trim());
    let name = match name {
        "" => redact::HIDDEN,
        name => redact::name(name),
    };
    format!(
        "line {}, of {name}, cannot be read: write NAME=VALUE, and quote a value that has blanks \
         or signs",
        at + 1
    )
}

/// A reader of a text that yields one line at a time, and counts them.
struct Lines<'t> {
    rest: &'t str,
    given: Rc<Cell<usize>>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        let mut length = line.min(buffer.len());
        while !self.rest.is_char_boundary(length) {
            length -= 1;
        }
        let (piece, rest) = self.rest.split_at(length);
        if let Some(buffer) = buffer.get_mut(..length) {
            buffer.copy_from_slice(piece.as_bytes());
        }
        if length == line && length > 0 {
            self.given.set(self.given.get() + 1);
        }
        self.rest = rest;
        Ok(length)
    }
}
