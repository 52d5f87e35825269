#![allow(clippy::unwrap_used)]

use super::Decoder;
use crate::parts;
use crate::{LlmError, StreamPart};
use talkgraph_domain::{FinishReason, Usage};

fn read(events: &[&str]) -> (Vec<StreamPart>, Option<LlmError>) {
    parts::tests::read(&mut Decoder::default(), events)
}

fn text(text: &str) -> StreamPart {
    StreamPart::Text(text.to_owned())
}

#[test]
fn finish_comes_once_and_last() {
    let each = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let last = r#"{"choices":[{"delta":{"content":""},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let usage = StreamPart::Usage(Usage {
        input_tokens: 1,
        output_tokens: 2,
        ..Usage::default()
    });
    let expected = vec![
        text("a"),
        text("a"),
        usage,
        StreamPart::Finish(FinishReason::Length),
    ];
    assert_eq!(read(&[each, each, last, "[DONE]", each]), (expected, None));
}

#[test]
fn reasons_are_mapped() {
    let of = |reason: &str| {
        let chunk = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":{reason}}}]}}"#);
        let (parts, error) = read(&[&chunk]);
        error.map_or(Ok(parts), Err)
    };
    let finished = |reason| Ok(vec![StreamPart::Finish(reason)]);
    assert_eq!(of("null"), Ok(vec![]));
    assert_eq!(of(r#""""#), Ok(vec![]));
    assert_eq!(of(r#""stop""#), finished(FinishReason::Stop));
    assert_eq!(of(r#""length""#), finished(FinishReason::Length));
    assert_eq!(
        of(r#""content_filter""#),
        finished(FinishReason::ContentFilter)
    );
    assert_eq!(of(r#""eos_token""#), finished(FinishReason::Stop));
    assert_eq!(of(r#""error""#), Err(LlmError::Unavailable));
    assert_eq!(
        of(r#""insufficient_system_resource""#),
        Err(LlmError::Unavailable)
    );
}

#[test]
fn done_ends_an_answer_only_after_text() {
    assert_eq!(read(&["[DONE]"]), (vec![], Some(LlmError::Protocol)));
    let a = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
    let stop = StreamPart::Finish(FinishReason::Stop);
    assert_eq!(read(&[a, "[DONE]"]), (vec![text("a"), stop], None));
}

#[test]
fn chunks_without_anything_are_skipped() {
    let empty = [
        "",
        " ",
        "{}",
        r#"{"choices":null,"usage":null,"error":null}"#,
    ];
    assert_eq!(read(&empty), (vec![], None));
    let hollow = [
        r#"{"choices":[{}],"usage":{}}"#,
        r#"{"choices":[{"delta":null}]}"#,
    ];
    assert_eq!(read(&hollow), (vec![], None));
}

#[test]
fn nul_is_replaced() {
    let nul = r#"{"choices":[{"delta":{"content":"a\u0000b","reasoning":"\u0000"}}]}"#;
    let reasoning = StreamPart::Reasoning("\u{FFFD}".to_owned());
    assert_eq!(read(&[nul]), (vec![reasoning, text("a\u{FFFD}b")], None));
}

#[test]
fn error_after_the_finish_reason_voids_it() {
    let stop = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let error = r#"{"error":{"code":429}}"#;
    assert_eq!(
        read(&[stop, error]),
        (
            vec![text("a")],
            Some(LlmError::RateLimited { retry_after: None })
        )
    );
    let (_, error) = read(&["[1"]);
    assert_eq!(error, Some(LlmError::Protocol));
}

#[test]
fn refusal_is_text_with_content_filter_as_reason() {
    let refusal = r#"{"choices":[{"delta":{"content":null,"refusal":"No."}}]}"#;
    let stop = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    let finish = StreamPart::Finish(FinishReason::ContentFilter);
    assert_eq!(read(&[refusal, stop]), (vec![text("No."), finish], None));
}
