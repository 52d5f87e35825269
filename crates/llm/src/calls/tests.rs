#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::{CallDelta, MAX_ARGUMENTS_BYTES, MAX_NAME_BYTES, MAX_TOOL_CALLS, ToolCalls, Unusable};
use crate::StreamPart;

/// An assembled call: id, name, arguments, and true if it is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    id: String,
    name: String,
    arguments: String,
    completed: bool,
}

/// A piece of a call: index, id, name, arguments; an empty text means absent.
type Said<'a> = (Option<u64>, &'a str, &'a str, &'a str);

fn delta((key, id, name, arguments): Said<'_>) -> CallDelta {
    let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    CallDelta {
        key,
        id: told(id),
        name: told(name),
        arguments: told(arguments),
    }
}

/// Assembles calls as an executor does, and checks its assumptions.
fn collect(parts: Vec<StreamPart>) -> Vec<Made> {
    let mut made = Vec::<Made>::new();
    for part in parts {
        match part {
            StreamPart::ToolCallStarted { index, id, name } => {
                assert_eq!(
                    index as usize,
                    made.len(),
                    "calls are numbered as they start"
                );
                made.push(Made {
                    id,
                    name,
                    arguments: String::new(),
                    completed: false,
                });
            }
            StreamPart::ToolCallArguments { index, delta } => {
                let call = &mut made[index as usize];
                assert!(!call.completed && !delta.is_empty());
                call.arguments += &delta;
            }
            StreamPart::ToolCallCompleted { index } => {
                let call = &mut made[index as usize];
                assert!(!std::mem::replace(&mut call.completed, true));
                assert!(!call.arguments.is_empty());
            }
            other => panic!("{other:?}"),
        }
    }
    made
}

fn read(deltas: impl IntoIterator<Item = CallDelta>, cut: bool) -> Result<Vec<Made>, Unusable> {
    let (mut calls, mut parts) = (ToolCalls::default(), Vec::new());
    for delta in deltas {
        calls.read(delta, |part| parts.push(part))?;
    }
    calls.finish(cut, |part| parts.push(part))?;
    Ok(collect(parts))
}

fn said(pieces: &[Said<'_>]) -> Vec<(String, String, String)> {
    let made = read(pieces.iter().copied().map(delta), false).unwrap();
    assert!(made.iter().all(|call| call.completed));
    let told = made
        .into_iter()
        .map(|call| (call.id, call.name, call.arguments));
    told.collect()
}

fn expect(calls: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let owned = |text: &str| text.to_owned();
    let calls = calls.iter();
    calls
        .map(|(id, name, args)| (owned(id), owned(name), owned(args)))
        .collect()
}

#[test]
fn documented_form_is_decoded() {
    let pieces = [
        (Some(0), "a", "f", ""),
        (Some(0), "", "", "{\"x\""),
        (Some(0), "", "", ":1}"),
        (Some(1), "b", "g", ""),
        (Some(1), "", "", "{}"),
    ];
    let expected = expect(&[("a", "f", "{\"x\":1}"), ("b", "g", "{}")]);
    assert_eq!(said(&pieces), expected);
}

#[test]
fn calls_that_all_have_the_index_0() {
    let with_ids = [(Some(0), "a", "f", "{}"), (Some(0), "b", "f", "{}")];
    assert_eq!(
        said(&with_ids),
        expect(&[("a", "f", "{}"), ("b", "f", "{}")])
    );
    let without = [
        (Some(0), "", "f", "{\"x\":1}"),
        (Some(0), "", "f", "{\"x\":2}"),
    ];
    let made = said(&without);
    assert_eq!((&*made[0].2, &*made[1].2), ("{\"x\":1}", "{\"x\":2}"));
    assert!(
        made[0].0.starts_with("call_") && made[0].0 != made[1].0,
        "{made:?}"
    );
}

#[test]
fn no_index_at_all() {
    let pieces = [
        (None, "a", "f", ""),
        (None, "", "", "{\"x\":"),
        (None, "a", "", "1}"),
        (None, "b", "g", "{\"y\":2}"),
        (None, "", "h", "{}"),
        // An id of its own on every piece, as some proxies send it.
        (None, "c1", "i", "{\"z\""),
        (None, "c2", "", ":3}"),
    ];
    let mut made = said(&pieces);
    let own = std::mem::replace(&mut made[2].0, "own".to_owned());
    assert!(own.starts_with("call_"), "{own}");
    let expected = [
        ("a", "f", "{\"x\":1}"),
        ("b", "g", "{\"y\":2}"),
        ("own", "h", "{}"),
        ("c1", "i", "{\"z\":3}"),
    ];
    assert_eq!(made, expect(&expected));
}

#[test]
fn id_and_name_on_every_piece() {
    for key in [Some(3), None] {
        let pieces = [
            (key, "a", "f", "{\"x\""),
            (key, "a", "f", ":1}"),
            (key, "", "f", ""),
        ];
        // The last piece repeats the name after complete arguments, and would start a call.
        assert_eq!(said(&pieces[..2]), expect(&[("a", "f", "{\"x\":1}")]));
    }
}

#[test]
fn late_name_is_awaited() {
    let pieces = [
        (Some(0), "a", "", "{\"x\""),
        (Some(0), "", "f", ":1"),
        (Some(0), "", "", "}"),
    ];
    assert_eq!(said(&pieces), expect(&[("a", "f", "{\"x\":1}")]));
    let nameless = read([delta((Some(0), "a", "", "{}"))], false);
    assert_eq!(nameless, Err(Unusable::Nameless));
    assert_eq!(read([delta((Some(0), "", "", ""))], false), Ok(vec![]));
}

#[test]
fn nothing_is_an_empty_object() {
    assert_eq!(
        said(&[(Some(0), "a", "f", "")]),
        expect(&[("a", "f", "{}")])
    );
}

#[test]
fn call_cut_by_a_limit_is_not_completed() {
    let pieces = [(Some(0), "a", "f", "{}"), (Some(1), "b", "g", "")];
    let made = read(pieces.map(delta), true).unwrap();
    let completed: Vec<_> = made.iter().map(|call| call.completed).collect();
    assert_eq!(completed, [true, false]);
    assert_eq!(made[1].arguments, "");
}

#[test]
fn unbounded_growth_is_refused() {
    let many = (0..=MAX_TOOL_CALLS as u64).map(|key| delta((Some(key), "", "f", "{}")));
    assert_eq!(read(many, false), Err(Unusable::TooManyCalls));
    let half = "x".repeat(MAX_ARGUMENTS_BYTES / 2);
    let long = [
        (Some(0), "a", "f", &*half),
        (Some(0), "", "", &half),
        (Some(0), "", "", "x"),
    ];
    assert!(read(long[..2].iter().copied().map(delta), false).is_ok());
    assert_eq!(
        read(long.map(delta), false),
        Err(Unusable::ArgumentsTooLong)
    );
    let name = "n".repeat(MAX_NAME_BYTES + 1);
    assert_eq!(
        read([delta((None, "", &name, ""))], false),
        Err(Unusable::NameTooLong)
    );
}

/// The form in which a server writes calls.
#[derive(Debug, Clone, Copy)]
enum Style {
    /// Index on each piece; id and name on the first.
    Book,
    /// All three on each.
    Repeated,
    /// No index; the id on each piece.
    Ids,
    /// No index; id and name on the first piece, and nothing on the others.
    First,
    /// Every call in one piece, all with the same index.
    Whole,
}

/// Calls with the pieces that their arguments are cut into.
fn calls() -> impl Strategy<Value = Vec<(String, String, Vec<String>)>> {
    let value = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
        Just(serde_json::json!({ "deep": [{ "}{": "\\\"]" }, []] })),
    ];
    let arguments = proptest::collection::btree_map("[a-z\"{}\\\\é🦀]{0,3}", value, 0..4);
    let cut = vec(0_usize..60, 0..5);
    vec(("[a-z]{1,3}", arguments, cut), 1..6).prop_map(|calls| {
        let calls = calls.into_iter().enumerate();
        let written = calls.map(|(at, (name, arguments, mut cuts))| {
            let text = serde_json::to_string(&arguments).unwrap();
            cuts.retain(|at| text.is_char_boundary(*at));
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts
                .windows(2)
                .map(|ends| text[ends[0]..ends[1]].to_owned());
            (format!("id{at}"), name, pieces.collect())
        });
        written.collect()
    })
}

fn written(
    calls: &[(String, String, Vec<String>)],
    style: Style,
    interleaved: bool,
) -> Vec<CallDelta> {
    let mut deltas = Vec::new();
    for (at, (id, name, pieces)) in calls.iter().enumerate() {
        let key = at as u64;
        if matches!(style, Style::Whole) {
            deltas.push((0, delta((Some(0), id, name, &pieces.concat()))));
            continue;
        }
        for (order, piece) in pieces.iter().enumerate() {
            let is_first = order == 0;
            let when = if interleaved { order } else { 0 };
            deltas.push((
                when,
                delta(match (style, is_first) {
                    (Style::Book, true) | (Style::Repeated, _) => (Some(key), id, name, piece),
                    (Style::Book, false) => (Some(key), "", "", piece),
                    (Style::Ids | Style::First, true) => (None, id, name, piece),
                    (Style::Ids, false) => (None, id, "", piece),
                    (Style::First, false) => (None, "", "", piece),
                    (Style::Whole, _) => continue,
                }),
            ));
        }
    }
    deltas.sort_by_key(|(when, _)| *when);
    deltas.into_iter().map(|(_, delta)| delta).collect()
}

proptest! {
    #[test]
    fn every_style_gives_the_same_calls(
        calls in calls(),
        style in prop_oneof![
            Just(Style::Book), Just(Style::Repeated), Just(Style::Ids), Just(Style::First),
            Just(Style::Whole),
        ],
        interleaved in any::<bool>(),
    ) {
        let told_apart = matches!(style, Style::Book | Style::Repeated | Style::Ids);
        let made = read(written(&calls, style, interleaved && told_apart), false).unwrap();
        let expected: Vec<_> = calls.into_iter().map(|(id, name, pieces)| Made {
            id, name, arguments: pieces.concat(), completed: true,
        }).collect();
        prop_assert_eq!(made, expected);
    }

    #[test]
    fn parts_keep_their_order(
        said in vec((
            proptest::option::of(0_u64..3), "[ab]?", "[fg]?", "[{}x\"]{0,3}",
        ), 0..20),
        cut in any::<bool>(),
    ) {
        let deltas = said.iter().map(|(key, id, name, args)| delta((*key, id, name, args)));
        if let Ok(made) = read(deltas, cut) {
            let open = made.iter().filter(|call| !call.completed).count();
            prop_assert!(open <= usize::from(cut));
        }
    }
}
