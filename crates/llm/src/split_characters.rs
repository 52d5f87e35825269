//! Characters that are split between pieces.
//!
//! Servers that cut their text by tokens or by UTF-16 units split an emoji: one piece ends with its
//! first half, the next begins with the other. The first half is held back until the second
//! arrives; a half alone becomes U+FFFD.

use super::json_repair::{Half, marked};

/// The incomplete character at the end of a text, if there is one.
#[derive(Debug, Default)]
pub(super) struct SplitCharacters {
    /// At most three bytes, in UTF-8 or, for a surrogate, in WTF-8.
    waiting: Vec<u8>,
}

const REPLACEMENT: char = '\u{FFFD}';

impl SplitCharacters {
    /// Joins a piece of text with the held back bytes, and holds back an incomplete character at
    /// its end.
    pub(super) fn join(&mut self, text: String) -> String {
        // U+0000 begins a mark. Others are replaced, since PostgreSQL cannot store them.
        if self.waiting.is_empty() && !text.contains('\0') {
            return text;
        }
        let mut bytes = std::mem::take(&mut self.waiting);
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            if char != '\0' {
                push(char, &mut bytes);
                continue;
            }
            match chars.peek().copied().and_then(marked) {
                None => push(REPLACEMENT, &mut bytes),
                Some(half) => {
                    chars.next();
                    match half {
                        Half::Byte(byte) => bytes.push(byte),
                        Half::Surrogate(unit) => bytes.extend(wtf8(unit)),
                    }
                }
            }
        }
        self.decode(&bytes)
    }

    /// The end of the text: an incomplete character that was never completed.
    pub(super) fn flush(&mut self) -> Option<String> {
        (!std::mem::take(&mut self.waiting).is_empty()).then(|| REPLACEMENT.to_string())
    }

    fn decode(&mut self, mut bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(sound) => {
                    text.push_str(sound);
                    return text;
                }
                Err(error) => error,
            };
            let (sound, rest) = bytes.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(sound).unwrap_or_default());
            let (char, taken) = match (surrogate(rest), error.error_len()) {
                (Some(0xD800..0xDC00), _) if rest.len() == 3 => {
                    self.waiting = rest.to_vec();
                    return text;
                }
                (Some(high @ 0xD800..0xDC00), _) => match rest.get(3..).and_then(surrogate) {
                    Some(low @ 0xDC00..) => (pair(high, low), 6),
                    _ => (REPLACEMENT, 3),
                },
                (Some(_), _) => (REPLACEMENT, 3),
                (None, None) => {
                    self.waiting = rest.to_vec();
                    return text;
                }
                (None, Some(len)) => (REPLACEMENT, len),
            };
            text.push(char);
            bytes = rest.get(taken..).unwrap_or_default();
        }
    }
}

/// Converts a complete text.
pub(super) fn whole(text: String) -> String {
    let mut halves = SplitCharacters::default();
    let mut text = halves.join(text);
    text.extend(halves.flush());
    text
}

fn push(char: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// A surrogate in its generalised UTF-8 form.
fn wtf8(unit: u16) -> [u8; 3] {
    let [high, low] = unit.to_be_bytes();
    [
        0xE0 | (high >> 4),
        0x80 | ((high & 0x0F) << 2) | (low >> 6),
        0x80 | (low & 0x3F),
    ]
}

/// The surrogate at the beginning of the bytes.
fn surrogate(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
            Some(0xD000 | (u32::from(second & 0x3F) << 6) | u32::from(third & 0x3F))
        }
        _ => None,
    }
}

fn pair(high: u32, low: u32) -> char {
    let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    char::from_u32(code).unwrap_or(REPLACEMENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SplitCharacters, whole};
    use crate::json_repair::{repair, utf8};

    fn text(json: &str) -> String {
        let json = repair(json).unwrap_or_else(|| json.to_owned());
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn surrogates_wait_for_each_other() {
        let mut halves = SplitCharacters::default();
        assert_eq!(halves.join(text(r#""a\ud83e""#)), "a");
        assert_eq!(halves.join(text(r#""\udd80b""#)), "🦀b");
        assert_eq!(halves.join(text(r#""\ud83e""#)), "");
        assert_eq!(halves.join("c".to_owned()), "\u{FFFD}c");
        assert_eq!(halves.join(text(r#""\udd80""#)), "\u{FFFD}");
        assert_eq!(halves.join(text(r#""\ud83e""#)), "");
        assert_eq!(halves.flush().as_deref(), Some("\u{FFFD}"));
        assert_eq!(halves.flush(), None);
    }

    #[test]
    fn nul_is_replaced() {
        assert_eq!(whole("a\0b\0".to_owned()), "a\u{FFFD}b\u{FFFD}");
    }

    proptest! {
        #[test]
        fn text_cut_between_any_bytes_is_whole_again(said in "[a🦀é\u{FFFD}]{0,12}", size in 1_usize..5) {
            let mut halves = SplitCharacters::default();
            let pieces = said.as_bytes().chunks(size);
            let mut joined: String = pieces
                .map(|piece| halves.join(text(&format!("\"{}\"", utf8(piece)))))
                .collect();
            joined.extend(halves.flush());
            prop_assert_eq!(joined, said);
        }

        #[test]
        fn text_cut_between_any_units_is_whole_again(said in "[a🦀é]{0,12}", size in 1_usize..4) {
            let mut halves = SplitCharacters::default();
            let units: Vec<_> = said.encode_utf16().collect();
            let mut joined = String::new();
            for piece in units.chunks(size) {
                let escaped: String = piece.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                joined += &halves.join(text(&format!("\"{escaped}\"")));
            }
            joined.extend(halves.flush());
            prop_assert_eq!(joined, said);
        }
    }
}
