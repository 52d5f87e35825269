//! Counts of many texts, compared with those of another implementation of `o200k_base`.

mod texts;

/// One count a line, of each of [`texts::all`], by the crate bpe-openai 0.3.2, which agrees with
/// tiktoken.
const COUNTS: &str = include_str!("counts.txt");

#[test]
fn counts_are_those_recorded() {
    let recorded: Vec<usize> = COUNTS.lines().map(|line| line.parse().unwrap()).collect();
    let texts = texts::all();
    assert_eq!(texts.len(), recorded.len());
    for (text, tokens) in texts.iter().zip(recorded) {
        assert_eq!(talkgraph_tokenizer::count(text), tokens, "{text:?}");
    }
}

#[test]
fn runs_without_a_space_are_counted_within_a_token_for_each_cut() {
    let run = "a".repeat(1 << 20);
    assert_eq!(talkgraph_tokenizer::count(&run), 131_072);
    let letters: String = (0u32..1 << 20)
        .map(|at| char::from(b'a' + (at.wrapping_mul(2_654_435_761) >> 24) as u8 % 26))
        .collect();
    let whole = talkgraph_tokenizer::count(&letters);
    let parts = letters.as_bytes().chunks(64 << 10);
    let parts = parts.map(|part| talkgraph_tokenizer::count(std::str::from_utf8(part).unwrap()));
    assert!(parts.sum::<usize>().abs_diff(whole) <= 16);
}
