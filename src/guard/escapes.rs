//! String escapes that the parser does not support: `\u{…}` and surrogate pairs (GraphQL, September
//! 2025, section 2.9.4). ASCII-only encoders write each emoji this way.

use std::borrow::Cow;

use apollo_parser::{Token, TokenKind};

/// A document's text, with some string literals rewritten.
pub(super) struct Rewritten<'t> {
    text: &'t str,
    out: String,
    /// The number of bytes of the text that `out` covers.
    done: usize,
}

impl<'t> Rewritten<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            out: String::new(),
            done: 0,
        }
    }

    /// Reads the next token, validated by the lexer.
    pub(super) fn read(&mut self, token: &Token<'_>) {
        if token.kind() != TokenKind::StringValue {
            return;
        }
        let Some(string) = rewritten(token.data()) else {
            return;
        };
        let before = self.text.get(self.done..token.index()).unwrap_or_default();
        self.out.push_str(before);
        self.out.push_str(&string);
        self.done = token.index() + token.data().len();
    }

    /// Returns the text for the parser.
    pub(super) fn finish(mut self) -> Cow<'t, str> {
        if self.done == 0 {
            return Cow::Borrowed(self.text);
        }
        let rest = self.text.get(self.done..).unwrap_or_default();
        self.out.push_str(rest);
        Cow::Owned(self.out)
    }
}

/// Returns a string literal without such escapes; `None` if it has none.
fn rewritten(literal: &str) -> Option<String> {
    if literal.starts_with("\"\"\"") || !literal.contains("\\u") {
        return None;
    }
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    let mut is_changed = false;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (length, character) = match scalar(escape) {
            Some((length, character)) => (length, Some(character)),
            // Any other escape is the backslash and one character.
            None => (1 + escape.chars().nth(1).map_or(0, char::len_utf8), None),
        };
        match character {
            Some(character) => {
                push(&mut out, character);
                is_changed = true;
            }
            None => out.push_str(escape.get(..length).unwrap_or(escape)),
        }
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    is_changed.then_some(out)
}

/// Decodes the escape at the beginning of a text and its length in bytes; `None` if the parser
/// supports it.
fn scalar(escape: &str) -> Option<(usize, char)> {
    let digits = escape.strip_prefix("\\u")?;
    if let Some(variable) = digits.strip_prefix('{') {
        let end = variable.find('}')?;
        let value = u32::from_str_radix(variable.get(..end)?, 16).ok()?;
        return Some((end + 4, char::from_u32(value)?));
    }
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let lead = unit(digits)?;
    let trail = unit(digits.get(4..)?.strip_prefix("\\u")?)?;
    let pair = char::decode_utf16([lead, trail]).next()?.ok()?;
    (pair.len_utf16() == 2).then_some((12, pair))
}

fn push(out: &mut String, character: char) {
    match u32::from(character) {
        // A quote or a control character would end the literal.
        code @ 0..=0xffff => out.push_str(&format!("\\u{code:04x}")),
        _ => out.push(character),
    }
}

#[cfg(test)]
mod tests {
    use apollo_parser::Lexer;

    use super::Rewritten;

    fn rewrite(text: &str) -> String {
        let mut rewritten = Rewritten::new(text);
        for token in Lexer::new(text) {
            rewritten.read(&token.unwrap());
        }
        rewritten.finish().into_owned()
    }

    #[test]
    fn characters_beyond_the_parsers_escapes_are_written_out() {
        for (text, read) in [
            (r#"{ a(b: "x\u{1F600}y") }"#, "{ a(b: \"x😀y\") }"),
            (r#"{ a(b: "x\ud83d\ude00\n") }"#, "{ a(b: \"x😀\\n\") }"),
            (
                r#"{ a(b: "\uD83D\uDE00\uD83D\uDE00") }"#,
                "{ a(b: \"😀😀\") }",
            ),
            (
                r#"{ a(b: "\u{22}\u{5c}\u{a}") }"#,
                r#"{ a(b: "\u0022\u005c\u000a") }"#,
            ),
            (
                r#"{ a(b: "\u{0000e9}", c: "\\u{41}") }"#,
                r#"{ a(b: "\u00e9", c: "\\u{41}") }"#,
            ),
        ] {
            assert_eq!(rewrite(text), read);
        }
        for text in [
            r#"{ a(b: "plain \u00e9 \" \\") }"#,
            r#"{ a(b: """\u{1F600}""") }"#,
            r#"{ a } # "\u{1F600}""#,
        ] {
            assert_eq!(rewrite(text), text);
        }
    }
}
