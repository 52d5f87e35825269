//! The arguments of a call, received in pieces and normalised.
//!
//! According to the documentation they are a text with one JSON object in it. Servers also send
//! nothing, blanks or `null` for no arguments, a JSON string that contains the object, `{}` before
//! the real object, and the whole object or its last piece a second time. Unambiguous forms are
//! normalised; anything else is kept unchanged, and reported to the model.

use serde_json::{Map, Value};

use super::split_characters::SplitCharacters;

/// Arguments being read.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    halves: SplitCharacters,
    /// The value, from its first character to its last.
    text: String,
    /// The length of the emitted part.
    given: usize,
    /// The text after the value's end.
    extra: String,
    progress: Progress,
    /// The number of bytes received.
    bytes: usize,
}

impl Arguments {
    /// The number of bytes received.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns true if the value is complete.
    pub(super) fn is_whole(&self) -> bool {
        self.progress.is_whole
    }

    /// Adds a piece.
    pub(super) fn add(&mut self, piece: String) {
        self.bytes += piece.len();
        let piece = self.halves.join(piece);
        self.take(&piece);
    }

    fn take(&mut self, mut piece: &str) {
        if self.text.is_empty() {
            piece = piece.trim_start();
        }
        let end = match self.progress.is_whole {
            true => 0,
            false => self.progress.read(piece).unwrap_or(piece.len()),
        };
        let (value, extra) = piece.split_at_checked(end).unwrap_or((piece, ""));
        self.text.push_str(value);
        self.extra.push_str(extra);
    }

    /// The rest of arguments that have now arrived as a whole.
    pub(super) fn rest_of<'a>(&self, whole: &'a str) -> Option<&'a str> {
        match self.is_whole() {
            true => None,
            false => whole.trim_start().strip_prefix(&self.text),
        }
    }

    /// The part that can be emitted early. Only an object with content is emitted early; other
    /// values wait for their end, to be normalised.
    pub(super) fn ready(&mut self) -> Option<String> {
        let is_object = self.text.strip_prefix('{');
        let has_content =
            |inside: &str| !matches!(inside.trim_start().chars().next(), None | Some('}'));
        if !is_object.is_some_and(has_content) {
            return None;
        }
        let more = self
            .text
            .get(self.given..)
            .filter(|more| !more.is_empty())?;
        let more = more.to_owned();
        self.given = self.text.len();
        Some(more)
    }

    /// The rest that is emitted at the end. The whole emitted text is never empty.
    pub(super) fn rest(&mut self) -> String {
        if let Some(half) = self.halves.flush() {
            self.take(&half);
        }
        match self.given {
            0 => self.meaning(),
            given => {
                let extra = self.extra_unless_repeated();
                self.text.get(given..).unwrap_or_default().to_owned() + extra
            }
        }
    }

    /// The whole arguments, normalised.
    pub(super) fn meaning(&self) -> String {
        let text = self.text.trim_end();
        let extra = self.extra_unless_repeated();
        if text.is_empty() || (is_nothing(text) && extra.is_empty()) {
            return "{}".to_owned();
        }
        // LiteLLM and others begin with an empty object as a placeholder.
        if object(text).is_some_and(|object| object.is_empty()) {
            match object(extra) {
                Some(_) => return extra.trim().to_owned(),
                None if extra.is_empty() => return "{}".to_owned(),
                None => {}
            }
        }
        if extra.is_empty()
            && let Ok(inner) = serde_json::from_str::<String>(text)
        {
            let inner = inner.trim();
            if inner.is_empty() || is_nothing(inner) {
                return "{}".to_owned();
            }
            if object(inner).is_some() {
                return inner.to_owned();
            }
        }
        text.to_owned() + extra
    }

    /// The text after the value, unless it repeats the value or its end.
    fn extra_unless_repeated(&self) -> &str {
        let (text, extra) = (self.text.trim_end(), self.extra.trim());
        if text.ends_with(extra) {
            return "";
        }
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return &self.extra;
        };
        let mut again = serde_json::Deserializer::from_str(extra).into_iter::<Value>();
        match again.all(|other| other.is_ok_and(|other| other == value)) {
            true => "",
            false => &self.extra,
        }
    }
}

/// Returns true if two texts of arguments are equivalent.
pub(super) fn same(one: &str, other: &str) -> bool {
    let value = |text| serde_json::from_str::<Value>(text).ok();
    one == other || value(one).is_some_and(|one| value(other) == Some(one))
}

fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

fn is_nothing(text: &str) -> bool {
    text == "null"
}

/// The state of scanning a JSON value in pieces.
#[derive(Debug, Default)]
struct Progress {
    depth: u32,
    in_text: bool,
    escaped: bool,
    /// True once its last brace or quote was read.
    is_whole: bool,
}

impl Progress {
    /// Scans a piece; returns the position of the value's end, if it is in the piece.
    fn read(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => {
                    self.in_text = !self.in_text;
                    self.is_whole = !self.in_text && self.depth == 0;
                }
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_whole = self.depth == 0;
                }
                _ => {}
            }
            if self.is_whole {
                return Some(at + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    /// The whole emitted text of arguments that arrive in these pieces.
    fn read(pieces: &[&str]) -> String {
        let (mut arguments, mut given) = (Arguments::default(), String::new());
        for piece in pieces {
            arguments.add((*piece).to_owned());
            given.extend(arguments.ready());
        }
        given + &arguments.rest()
    }

    #[test]
    fn unambiguous_arguments_are_normalised() {
        let twice = serde_json::json!("{\"x\":\"a\\\"b\"}").to_string();
        for (pieces, expected) in [
            (&[][..], "{}"),
            (&[""], "{}"),
            (&[" ", "\n"], "{}"),
            (&["null"], "{}"),
            (&["nu", "ll"], "{}"),
            (&["\"\""], "{}"),
            (&["\"null\""], "{}"),
            (&["{", " }"], "{}"),
            (&[&twice], r#"{"x":"a\"b"}"#),
            (&[&twice[..6], &twice[6..]], r#"{"x":"a\"b"}"#),
            (&["{}", "{\"x\"", ":1}"], r#"{"x":1}"#),
            (&[" {\"x\"", ": 1}\n"], r#"{"x": 1}"#),
            // Repeated.
            (&["{\"x\":1}", "{\"x\": 1}"], r#"{"x":1}"#),
            (&["{\"x\":", "1}", "1}"], r#"{"x":1}"#),
            (&["{}", "{}"], "{}"),
        ] {
            assert_eq!(read(pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn ambiguous_arguments_are_unchanged() {
        for pieces in [
            &["{\"x\":1}", "{\"x\":2}"][..],
            &["\"Paris\""],
            &["7"],
            &["[1]"],
            &["{\"x\":"],
            &["{}", "x"],
        ] {
            assert_eq!(read(pieces), pieces.concat(), "{pieces:?}");
        }
    }
}
