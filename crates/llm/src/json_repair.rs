//! Repair of almost-JSON, for the rare event that cannot be parsed.
//!
//! A split character at the end of a piece of text is kept as a mark, which
//! [`super::split_characters`] joins with the other half. A mark is U+0000, which no text may
//! contain, and a character of the private use area.

/// The first mark of UTF-16 surrogates, for U+D800.
const SURROGATES: u32 = 0xE000;
/// The first mark of bytes that are not UTF-8, for the byte 0.
const BYTES: u32 = 0xE800;

/// Half of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// A UTF-16 surrogate, U+D800 to U+DFFF.
    Surrogate(u16),
    /// A byte.
    Byte(u8),
}

/// The half that the character after U+0000 represents.
pub(super) fn marked(mark: char) -> Option<Half> {
    let code = u32::from(mark);
    let surrogate = code.checked_sub(SURROGATES).filter(|code| *code < 0x800);
    if let Some(code) = surrogate {
        return u16::try_from(0xD800 + code).ok().map(Half::Surrogate);
    }
    let byte = code.checked_sub(BYTES)?;
    u8::try_from(byte).ok().map(Half::Byte)
}

fn mark(first: u32, code: u32, out: &mut String) {
    out.push_str("\\u0000");
    out.extend(char::from_u32(first + code));
}

/// Converts bytes to text, with marks for those that are not UTF-8.
pub(super) fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            mark(BYTES, u32::from(*byte), &mut text);
        }
    }
    text
}

/// Repairs JSON: marks for lone surrogates, escaped control characters, and null for numbers that
/// JSON does not have. None if nothing needed repair.
pub(super) fn repair(json: &str) -> Option<String> {
    let mut mended = String::with_capacity(json.len() + 16);
    let (mut rest, mut changed) = (json, false);
    while let Some(next) = rest.chars().next() {
        let (taken, was_odd) = match next {
            '"' => quoted(rest, &mut mended),
            '+' | '-' | '.' | '0'..='9' | 'A'..='Z' | 'a'..='z' => word(rest, &mut mended),
            other => {
                mended.push(other);
                (other.len_utf8(), false)
            }
        };
        changed |= was_odd;
        rest = rest.get(taken..).unwrap_or_default();
    }
    changed.then_some(mended)
}

/// Copies a word or a number; returns its length, and true if it was replaced.
fn word(text: &str, out: &mut String) -> (usize, bool) {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let end = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    let word = &text[..end];
    let is_sound = serde_json::from_str::<serde_json::Value>(word).is_ok();
    out.push_str(if is_sound { word } else { "null" });
    (end, !is_sound)
}

/// Copies a string with its quotes; returns its length, and true if it was changed.
fn quoted(text: &str, out: &mut String) -> (usize, bool) {
    out.push('"');
    let (mut at, mut changed) = (1, false);
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        match next {
            '"' => {
                out.push('"');
                return (at + 1, changed);
            }
            '\\' => {
                let (taken, was_odd) = escape(rest, out);
                changed |= was_odd;
                at += taken;
            }
            control if control < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
                changed = true;
                at += 1;
            }
            other => {
                out.push(other);
                at += other.len_utf8();
            }
        }
    }
    (at, changed)
}

/// Copies an escape.
fn escape(rest: &str, out: &mut String) -> (usize, bool) {
    let Some(code) = code_unit(rest) else {
        let Some(escaped) = rest.chars().nth(1) else {
            out.push('\\');
            return (1, false);
        };
        let is_known = "\"\\/bfnrtu".contains(escaped);
        if is_known {
            out.push('\\');
        }
        out.push(escaped);
        return (1 + escaped.len_utf8(), !is_known);
    };
    let is_pair = (0xD800..0xDC00).contains(&code)
        && rest
            .get(6..)
            .and_then(code_unit)
            .is_some_and(|low| (0xDC00..0xE000).contains(&low));
    match code {
        _ if is_pair => {
            out.push_str(&rest[..12]);
            (12, false)
        }
        0xD800..0xE000 => {
            mark(SURROGATES, code - 0xD800, out);
            (6, true)
        }
        _ => {
            out.push_str(&rest[..6]);
            (6, false)
        }
    }
}

/// The code unit of a `\uXXXX` at the beginning.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::{repair, utf8};

    #[test]
    fn valid_json_is_unchanged() {
        for sound in [
            r#"{"a":"\ud83e\udd80 \\ud83e \n","b":[1,-2.5e3,true,null]}"#,
            "[]",
            "",
        ] {
            assert_eq!(repair(sound), None, "{sound}");
        }
    }

    #[test]
    fn unsupported_literals_become_null_and_strings_stay() {
        let mended = |json: &str| repair(json).unwrap_or_default();
        assert_eq!(
            mended(r#"{"a":NaN,"b":-Infinity,"c":1e999,"d":None,"e":"NaN"}"#),
            r#"{"a":null,"b":null,"c":null,"d":null,"e":"NaN"}"#
        );
        assert_eq!(mended("{\"a\":\"x\ty\"}"), r#"{"a":"x\u0009y"}"#);
        assert_eq!(mended(r#"["it\'s"]"#), r#"["it's"]"#);
    }

    #[test]
    fn halves_are_marked() {
        assert_eq!(
            repair(r#""a\ud83e""#).as_deref(),
            Some("\"a\\u0000\u{E03E}\"")
        );
        assert_eq!(
            repair(r#""\udd80b""#).as_deref(),
            Some("\"\\u0000\u{E580}b\"")
        );
        assert_eq!(utf8(b"a\xF0\x9F"), "a\\u0000\u{E8F0}\\u0000\u{E89F}");
    }
}
