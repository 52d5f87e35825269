use proptest::prelude::*;

use super::{Said, Thinking};

/// Text and reasoning of an answer that arrives in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, String) {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut give = |said| match said {
        Said::Text(more) => text += &more,
        Said::Reasoning(more) => reasoning += &more,
        Said::AllWasReasoning => reasoning += std::mem::take(&mut text).trim_end(),
    };
    let mut thinking = Thinking::default();
    for piece in pieces {
        thinking.read(piece.to_owned(), &mut give);
    }
    thinking.flush(&mut give);
    (text, reasoning)
}

const CASES: [(&str, &str, &str); 19] = [
    ("Hi", "Hi", ""),
    ("<think>Hm.</think>Hi", "Hi", "Hm."),
    (
        "<think>\nIs {Paris} it?\n</think>\n\n{\"a\":1}",
        "{\"a\":1}",
        "Is {Paris} it?",
    ),
    ("\n<thinking>Hm.</thinking> Hi", "Hi", "Hm."),
    ("<think>\n\n</think>\n\nHi", "Hi", ""),
    ("<think>a</think>\n<think>b</think>c", "c", "ab"),
    ("[THINK]Hm.[/THINK]Hi", "Hi", "Hm."),
    ("◁think▷Hm.◁/think▷Hi", "Hi", "Hm."),
    ("<think>Hm. <b>", "", "Hm. <b>"),
    // Without an opening tag.
    ("Hm.\nWell.\n</think>\n\nHi", "Hi", "Hm.\nWell."),
    ("Hm.</think>\nHi", "Hi", "Hm."),
    ("Hm.</think>", "", "Hm."),
    // Only at the beginning, and only as a tag.
    ("Hi <think>x</think>", "Hi <think>x</think>", ""),
    ("Write `</think>` there.", "Write `</think>` there.", ""),
    ("<thin ice>", "<thin ice>", ""),
    ("<div></div>", "<div></div>", ""),
    ("  Hi", "  Hi", ""),
    (" \n ", "", ""),
    ("a < b", "a < b", ""),
];

#[test]
fn reasoning_is_separated_from_text() {
    for (said, text, reasoning) in CASES {
        let expected = (text.to_owned(), reasoning.to_owned());
        assert_eq!(read([said]), expected, "{said}");
    }
}

proptest! {
    #[test]
    fn chunk_boundaries_do_not_matter(case in 0..CASES.len(), cuts in proptest::collection::vec(0_usize..40, 0..12)) {
        let (said, text, reasoning) = CASES[case];
        let mut cuts: Vec<_> = cuts.into_iter().filter(|at| said.is_char_boundary(*at)).collect();
        cuts.extend([0, said.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &said[ends[0]..ends[1]]);
        prop_assert_eq!(read(pieces), (text.to_owned(), reasoning.to_owned()), "{}", said);
    }

    #[test]
    fn text_without_tags_stays_as_it_is(pieces in proptest::collection::vec("[a-z<>/ \n]{0,6}", 0..12)) {
        let said = pieces.concat();
        let (text, reasoning) = read(pieces.iter().map(String::as_str));
        prop_assert_eq!(reasoning, "");
        prop_assert!(text == said || said.trim().is_empty(), "{:?} {:?}", text, said);
    }
}
