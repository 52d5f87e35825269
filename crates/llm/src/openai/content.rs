//! A choice's content: a text, or Mistral's list of texts and thoughts.

use serde::de::{MapAccess, SeqAccess};

use crate::lenient::{Loose, Seen, object};

/// The text and reasoning of a content.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: Option<String>,
    pub(super) reasoning: Option<String>,
}

object! {
    /// An entry of a list. References and images have no text and are skipped.
    struct Piece {
        text: String = "text",
        /// A thought is a text, or a list of texts.
        thinking: Said = "thinking",
    }
}

impl Said {
    /// Returns true if it is empty.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
        is_empty(&self.text) && is_empty(&self.reasoning)
    }

    fn add(&mut self, piece: Piece) {
        let text = self.text.get_or_insert_default();
        text.extend(piece.text);
        let reasoning = self.reasoning.get_or_insert_default();
        reasoning.extend(piece.thinking.and_then(|thought| thought.text));
    }
}

/// Implemented by hand, because serde copies each value first to decide between two types.
impl Loose for Said {
    fn of_text(text: &str) -> Option<Self> {
        Some(Self {
            text: Some(text.to_owned()),
            reasoning: None,
        })
    }

    fn of_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut said = Self::default();
        while let Some(Seen(entry)) = list.next_element()? {
            match entry {
                Some(Entry::Piece(piece)) => said.add(piece),
                Some(Entry::Text(text)) => said.text.get_or_insert_default().push_str(&text),
                None => {}
            }
        }
        Ok(Some(said))
    }

    fn of_object<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        let mut said = Self::default();
        if let Some(piece) = Piece::of_object(map)? {
            said.add(piece);
        }
        Ok(Some(said))
    }
}

/// An entry of a list of content.
enum Entry {
    Piece(Piece),
    Text(String),
}

impl Loose for Entry {
    fn of_text(text: &str) -> Option<Self> {
        Some(Self::Text(text.to_owned()))
    }

    fn of_object<'de, A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Ok(Piece::of_object(map)?.map(Self::Piece))
    }
}

#[cfg(test)]
mod tests {
    use super::Said;
    use crate::lenient::Seen;

    #[test]
    fn texts_lists_and_nothing_are_read() {
        let said = |text: &str, reasoning: Option<&str>| {
            Some(Said {
                text: Some(text.to_owned()),
                reasoning: reasoning.map(str::to_owned),
            })
        };
        for (json, expected) in [
            ("null", None),
            ("1", None),
            (r#""a\"b""#, said("a\"b", None)),
            ("[]", Some(Said::default())),
            (
                r#"[{"type":"thinking","thinking":[{"type":"text","text":"H"},{"type":"text","text":"m"}]},
                    {"type":"reference","reference_ids":[1]},{"type":"text","text":"Hi"}]"#,
                said("Hi", Some("Hm")),
            ),
            (r#"[{"thinking":"Hm"},7]"#, said("", Some("Hm"))),
            (r#"["H",{"text":"i"}]"#, said("Hi", Some(""))),
            (r#"{"type":"text","text":"Hi"}"#, said("Hi", Some(""))),
        ] {
            let Seen(read) = serde_json::from_str::<Seen<Said>>(json).unwrap();
            assert_eq!(read, expected, "{json}");
        }
    }
}
