//! Escaping of hidden characters in texts of others, for people and models.

use std::borrow::Cow;

use serde_json::Value;
use unicode_general_category::{GeneralCategory, get_general_category};

/// Returns true for a character that cannot be seen in a text: escape sequences of terminals,
/// overrides of the writing direction, and characters that hide words from people alone.
fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control() && !matches!(character, '\n' | '\t');
    }
    match get_general_category(character) {
        GeneralCategory::Format => !is_joiner(character),
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator
        | GeneralCategory::PrivateUse => true,
        _ => false,
    }
}

/// Returns true for the joiners of many scripts and emoji.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
}

/// Returns true if all characters of a text can be seen.
pub(super) fn is_visible(text: &str) -> bool {
    !text.chars().any(is_hidden)
}

/// The text with hidden characters as `\u{202e}`.
pub(crate) fn escape_hidden(text: &str) -> Cow<'_, str> {
    let text = match text.contains("\r\n") {
        true => Cow::Owned(text.replace("\r\n", "\n")),
        false => Cow::Borrowed(text),
    };
    if is_visible(&text) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match is_hidden(character) {
            true => shown.extend(character.escape_unicode()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Escapes the words of a JSON Schema. Returns false if a name or value has hidden characters,
/// which cannot be escaped there; a regular expression may have any characters.
pub(super) fn escape_schema(schema: &mut Value) -> bool {
    match schema {
        Value::Object(fields) => fields.iter_mut().all(|(name, value)| match value {
            _ if !is_visible(name) => false,
            Value::String(words)
                if matches!(name.as_str(), "description" | "title" | "$comment") =>
            {
                if let Cow::Owned(shown) = escape_hidden(words) {
                    *words = shown;
                }
                true
            }
            Value::String(_) if name == "pattern" => true,
            value => escape_schema(value),
        }),
        Value::Array(items) => items.iter_mut().all(escape_schema),
        Value::String(text) => is_visible(text),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn hidden_characters_are_written_out() {
        for (text, shown) in [
            (
                "plain\tword\nnext\r\nlast – ö 語",
                "plain\tword\nnext\nlast – ö 語",
            ),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("pay\u{202e}eciffo", "pay\\u{202e}eciffo"),
            (
                "a\u{e0041}b\u{200b}\u{feff}\u{2028}",
                "a\\u{e0041}b\\u{200b}\\u{feff}\\u{2028}",
            ),
            ("\u{7f}\r\u{9b}", "\\u{7f}\\u{d}\\u{9b}"),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
        ] {
            assert_eq!(escape_hidden(text), shown);
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_visible(text: String) {
            let shown = escape_hidden(&text);
            prop_assert!(is_visible(&shown));
            prop_assert_eq!(escape_hidden(&shown), shown.clone());
        }
    }

    #[test]
    fn schemas_are_escaped_or_refused() {
        let mut schema =
            json!({ "properties": { "a": { "description": "x\u{202e}y", "pattern": "\u{1}" } } });
        assert!(escape_schema(&mut schema));
        assert_eq!(schema["properties"]["a"]["description"], "x\\u{202e}y");
        assert!(!escape_schema(
            &mut json!({ "properties": { "a\u{202e}": {} } })
        ));
        assert!(!escape_schema(
            &mut json!({ "properties": { "a": { "enum": ["\u{1b}[1m"] } } })
        ));
    }
}
