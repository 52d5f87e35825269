//! A choice's content: a text, or Mistral's list of texts and thoughts.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What a content says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: Option<String>,
    pub(super) reasoning: Option<String>,
}

/// An entry of a list. References and images have no text and are passed over.
#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Said,
}

/// By hand, because serde's way to read either of two things copies each first.
impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Said;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a text, a list of pieces, or null")
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::default())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Said, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E>(self, text: String) -> Result<Said, E> {
        Ok(Said {
            text: Some(text),
            reasoning: None,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        let (mut text, mut reasoning) = (String::new(), String::new());
        while let Some(piece) = list.next_element::<Piece>()? {
            text.extend(piece.text);
            // A thought is a text, or a list of texts once more.
            reasoning.extend(piece.thinking.text);
        }
        Ok(Said {
            text: Some(text),
            reasoning: Some(reasoning),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn texts_lists_and_nothing_are_read() {
        let said = |text: Option<&str>, reasoning: Option<&str>| Said {
            text: text.map(str::to_owned),
            reasoning: reasoning.map(str::to_owned),
        };
        for (json, expected) in [
            ("null", said(None, None)),
            (r#""a\"b""#, said(Some("a\"b"), None)),
            ("[]", said(Some(""), Some(""))),
            (
                r#"[{"type":"thinking","thinking":[{"type":"text","text":"H"},{"type":"text","text":"m"}]},
                    {"type":"reference","reference_ids":[1]},{"type":"text","text":"Hi"}]"#,
                said(Some("Hi"), Some("Hm")),
            ),
            (r#"[{"thinking":"Hm"}]"#, said(Some(""), Some("Hm"))),
        ] {
            assert_eq!(
                serde_json::from_str::<Said>(json).unwrap(),
                expected,
                "{json}"
            );
        }
        assert!(serde_json::from_str::<Said>("1").is_err());
    }
}
