use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn limits() -> GuardLimits {
    GuardLimits {
        query_bytes: 65_536,
        query_tokens: 20_000,
        query_nesting: 64,
        query_depth: 50,
        query_fields: 1_000,
        query_root_fields: 1_000,
        query_aliases: 1_000,
        query_directives: 1_000,
        query_complexity: 1_000_000,
        variables_nesting: 64,
        variables_values: 10_000,
        response_bytes: 1_000_000,
    }
}

fn guard(limits: GuardLimits) -> Guard {
    Guard::new(
        limits,
        Pages::of("type Query { a(first: Int): Int }", 20, 100),
        Inputs::default(),
    )
}

/// An item of a fragment in a generated document.
#[derive(Debug, Clone)]
enum Item {
    Field,
    Alias,
    Directive,
    Inside(Vec<Item>),
    /// Spreads the fragment at this distance.
    Spread(usize),
}

fn item() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![
        Just(Item::Field),
        Just(Item::Alias),
        Just(Item::Directive),
        (1..4_usize).prop_map(Item::Spread),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| vec(inner, 1..4).prop_map(Item::Inside))
}

fn document(fragments: &[Vec<Item>]) -> String {
    let mut text = String::new();
    for (place, items) in fragments.iter().enumerate() {
        match place {
            0 => text += "query Q { always ",
            _ => write!(text, "fragment F{place} on Query {{ always ").unwrap(),
        }
        write_items(&mut text, items, place, fragments.len());
        text += "} ";
    }
    text
}

fn write_items(text: &mut String, items: &[Item], place: usize, count: usize) {
    for item in items {
        match item {
            Item::Field => *text += "a ",
            Item::Alias => *text += "b: a ",
            Item::Directive => *text += "a @d ",
            Item::Inside(items) => {
                *text += "a { always ";
                write_items(text, items, place, count);
                *text += "} ";
            }
            Item::Spread(further) if place + further < count => {
                write!(text, "...F{} ", place + further).unwrap();
            }
            Item::Spread(_) => {}
        }
    }
}

/// Counts fields, depth, aliases and directives by walking each spread each time.
fn walked(fragments: &[Vec<Item>], place: usize, items: &[Item]) -> [usize; 4] {
    let mut all = [1, 1, 0, 0];
    for item in items {
        let one = match item {
            Item::Field => [1, 1, 0, 0],
            Item::Alias => [1, 1, 1, 0],
            Item::Directive => [1, 1, 0, 1],
            Item::Inside(items) => {
                let [fields, depth, aliases, directives] = walked(fragments, place, items);
                [fields + 1, depth + 1, aliases, directives]
            }
            Item::Spread(further) => match fragments.get(place + further) {
                Some(items) => walked(fragments, place + further, items),
                None => [0; 4],
            },
        };
        all = [
            all[0] + one[0],
            all[1].max(one[1]),
            all[2] + one[2],
            all[3] + one[3],
        ];
    }
    all
}

proptest! {
    /// Checks that measuring each fragment once equals walking each spread.
    #[test]
    fn counts_are_those_of_the_expanded_document(fragments in vec(vec(item(), 0..5), 1..6)) {
        let [fields, depth, aliases, directives] = walked(&fragments, 0, &fragments[0]);
        let generous = GuardLimits {
            query_fields: usize::MAX,
            query_root_fields: usize::MAX,
            query_aliases: usize::MAX,
            query_directives: usize::MAX,
            ..limits()
        };
        let read = guard(generous).read(&document(&fragments)).unwrap();
        let measured = read.measured;
        prop_assert_eq!(
            [measured.fields, measured.depth, measured.aliases, measured.directives],
            [fields, depth, aliases, directives]
        );
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        // Any result is acceptable, as long as there is one.
        let _ = guard(limits()).read(&text);
    }

    #[test]
    fn anything_like_a_document_is_read_or_refused(
        words in vec(prop::sample::select(&[
            "{", "}", "(", ")", "[", "]", "a", ":", "$", "@", "...", "on", "query", "fragment",
            "\"x\"", "\"\"\"", "\"", "1", "1.5e3", "-", "!", "=", "null", "#", "\n", "\u{feff}",
        ][..]), 0..60)
    ) {
        let _ = guard(limits()).read(&words.join(" "));
    }

    #[test]
    fn any_variables_are_read_or_refused(json in "[\\[\\]{}:,\"a1 ]*") {
        if let Ok(raw) = serde_json::from_str::<&serde_json::value::RawValue>(&json) {
            let _ = parse_variables(raw, &limits());
        }
    }
}

#[test]
fn a_document_is_read_once() {
    let guard = guard(limits());
    let first = guard.read("{ a }").unwrap();
    assert!(Arc::ptr_eq(&first, &guard.read("{ a }").unwrap()));
    assert!(guard.read("{ a").is_err());
    assert!(guard.documents.find("{ a").is_none());
    let long = format!("{{ a }}{}", " ".repeat(KEPT_DOCUMENT_BYTES));
    guard.read(&long).unwrap();
    assert!(guard.documents.find(&long).is_none());
}

#[test]
fn a_chain_of_fragments_nests() {
    let mut text = String::from("{ ...F0 } ");
    for n in 0..100 {
        write!(text, "fragment F{n} on Query {{ ...F{} }} ", n + 1).unwrap();
    }
    text += "fragment F100 on Query { a }";
    let error = guard(limits()).read(&text).unwrap_err();
    assert_eq!(error, GuardError::limit_exceeded("levels of nesting", 64));
}

#[test]
fn errors_tell_their_place() {
    let error = guard(limits()).read("{\n  a ? b }").unwrap_err();
    let at = async_graphql::Pos { line: 2, column: 5 };
    assert_eq!(error.locations(), [at]);
    assert_eq!(error.code(), "GRAPHQL_PARSE_FAILED");
}
