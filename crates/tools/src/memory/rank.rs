//! Ranking of memories for a query.
//!
//! An owner has few, so all are compared: the result is the same on every database, and no search
//! reads the words of other owners.

use std::cmp::Reverse;

use talkgraph_domain::Memory;

/// The maximum number of words of a query that count.
const WORDS: usize = 32;

/// The memories that match most of the query's words, each at the beginning of a word, the latest
/// of equals first; the latest of all when the query has no words. `all` is sorted from latest to
/// oldest.
pub(super) fn best(all: Vec<Memory>, query: &str, most: usize) -> Vec<Memory> {
    let query: Vec<String> = words(query).take(WORDS).collect();
    let mut ranked: Vec<(usize, Memory)> = all
        .into_iter()
        .map(|memory| (hits(&memory.text, &query), memory))
        .filter(|(hits, _)| *hits > 0 || query.is_empty())
        .collect();
    // Stable, so the latest stay first among equals.
    ranked.sort_by_key(|(hits, _)| Reverse(*hits));
    ranked
        .into_iter()
        .take(most)
        .map(|(_, memory)| memory)
        .collect()
}

fn hits(text: &str, query: &[String]) -> usize {
    let text: Vec<String> = words(text).collect();
    let is_in = |word: &&String| text.iter().any(|other| other.starts_with(word.as_str()));
    query.iter().filter(is_in).count()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use talkgraph_domain::time::now;

    #[test]
    fn more_words_rank_higher_then_later_ones() {
        let all: Vec<_> = [
            "Likes green tea.",
            "Has two cats, Mia and Leo.",
            "Lives in Zürich.",
            "Likes cats.",
        ]
        .into_iter()
        .map(|text| Memory {
            text: text.to_owned(),
            saved_at: now(),
        })
        .collect();
        for (query, expected) in [
            ("cat", vec![1, 3]),
            ("likes CATS", vec![3, 0, 1]),
            ("zürich?", vec![2]),
            ("reen", vec![]),
            ("dog", vec![]),
            ("", vec![0, 1]),
            ("...", vec![0, 1]),
        ] {
            let most = if query.contains(char::is_alphanumeric) {
                10
            } else {
                2
            };
            let found = best(all.clone(), query, most);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|n: usize| all[n].clone())
                .collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
