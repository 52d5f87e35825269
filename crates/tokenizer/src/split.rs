//! Pieces of a text across whose borders no token reaches.

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

/// Alternatives of tiktoken's pattern for `o200k_base`, without those for white space before
/// something else: it is a look-ahead there, which a finite automaton does not have.
const PIECES: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"|\s*[\r\n]+",
    r"|\s+$",
);
/// `\s+(?!\S)` with one character too many: the next piece begins with it.
const SPACE_BEFORE_WORD: &str = r"\s+\s";
const SPACE: &str = r"\s+";
/// Index of [`SPACE_BEFORE_WORD`] among the patterns.
const LOOKAHEAD: usize = 1;

pub(crate) struct Splitter(Regex);

impl Splitter {
    /// The splitter of `o200k_base`; none if its patterns are invalid.
    pub(crate) fn o200k() -> Option<Self> {
        let patterns = [PIECES, SPACE_BEFORE_WORD, SPACE];
        Regex::new_many(&patterns).ok().map(Self)
    }

    pub(crate) fn split<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let found = self.0.find(Input::new(rest).anchored(Anchored::Yes))?;
            let mut end = found.end();
            if found.pattern().as_usize() == LOOKAHEAD {
                end -= rest[..end].chars().next_back().map_or(0, char::len_utf8);
            }
            let (piece, after) = rest.split_at(end);
            rest = after;
            Some(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_keep_the_space_before_them() {
        let splitter = Splitter::o200k().unwrap();
        let pieces = |text| splitter.split(text).collect::<Vec<_>>();
        assert_eq!(pieces("a   b"), ["a", "  ", " b"]);
        assert_eq!(pieces("It's 12345!\n"), ["It's", " ", "123", "45", "!\n"]);
        assert_eq!(pieces("camelCase  "), ["camel", "Case", "  "]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole_text(text in "(\\PC|\\s|[a-z ]){0,64}") {
            let splitter = Splitter::o200k().unwrap();
            let pieces: Vec<_> = splitter.split(&text).collect();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(pieces.concat(), text);
        }
    }
}
