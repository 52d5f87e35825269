#![allow(clippy::unwrap_used)]

use super::Decoder;
use crate::parts::tests::read;
use crate::{LlmError, StreamPart};
use talkgraph_domain::FinishReason;

fn parts(events: &[&str]) -> (Vec<StreamPart>, Option<LlmError>) {
    read(&mut Decoder::default(), events)
}

const COMPLETED: &str = r#"{"type":"response.completed","response":{"status":"completed"}}"#;
const CALL: &str = r#"{"type":"response.output_item.added","output_index":0,
    "item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":""}}"#;

fn started() -> StreamPart {
    StreamPart::ToolCallStarted {
        index: 0,
        id: "call_1".to_owned(),
        name: "f".to_owned(),
    }
}

fn arguments(delta: &str) -> StreamPart {
    StreamPart::ToolCallArguments {
        index: 0,
        delta: delta.to_owned(),
    }
}

#[test]
fn reasons_are_mapped() {
    let incomplete = |reason: &str| {
        format!(
            r#"{{"type":"response.incomplete","response":{{"status":"incomplete",
                "incomplete_details":{{"reason":"{reason}"}}}}}}"#
        )
    };
    for (event, expected) in [
        (COMPLETED.to_owned(), FinishReason::Stop),
        (
            r#"{"type":"response.completed"}"#.to_owned(),
            FinishReason::Stop,
        ),
        (
            r#"{"type":"response.incomplete"}"#.to_owned(),
            FinishReason::Length,
        ),
        (incomplete("max_output_tokens"), FinishReason::Length),
        (incomplete("content_filter"), FinishReason::ContentFilter),
    ] {
        assert_eq!(
            parts(&[&event]),
            (vec![StreamPart::Finish(expected)], None),
            "{event}"
        );
    }
}

#[test]
fn refusal_is_text_with_content_filter_as_reason() {
    let refusal = r#"{"type":"response.refusal.delta","output_index":0,"delta":"No."}"#;
    let expected = vec![
        StreamPart::Text("No.".to_owned()),
        StreamPart::Finish(FinishReason::ContentFilter),
    ];
    assert_eq!(parts(&[refusal, COMPLETED]), (expected, None));
}

#[test]
fn unstreamed_content_is_taken_from_its_item() {
    let text = r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message",
        "content":[{"type":"output_text","text":"Hi"}]}}"#;
    let call = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":
        "function_call","call_id":"call_1","name":"f","arguments":"{\"x\":1}"}}"#;
    let expected = vec![
        started(),
        arguments(r#"{"x":1}"#),
        StreamPart::ToolCallCompleted { index: 0 },
        StreamPart::Text("Hi".to_owned()),
        StreamPart::Finish(FinishReason::ToolCalls),
    ];
    // With the start of the call, and without.
    assert_eq!(
        parts(&[CALL, call, text, COMPLETED]),
        (expected.clone(), None)
    );
    assert_eq!(parts(&[call, text, COMPLETED]), (expected, None));
    let done = r#"{"type":"response.function_call_arguments.done","output_index":0,
        "arguments":"{\"x\":1}"}"#;
    let (parts, _) = parts(&[CALL, done, done, call, COMPLETED]);
    let said = parts
        .iter()
        .filter(|part| **part == arguments(r#"{"x":1}"#));
    assert_eq!(said.count(), 1, "{parts:?}");
}

#[test]
fn call_cut_by_a_limit_is_not_completed() {
    let delta =
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"x"}"#;
    let done = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":
        "function_call","status":"incomplete","call_id":"call_1","name":"f","arguments":"{\"x"}}"#;
    let incomplete = r#"{"type":"response.incomplete","response":{"status":"incomplete"}}"#;
    let expected = vec![
        started(),
        arguments("{\"x"),
        StreamPart::Finish(FinishReason::Length),
    ];
    assert_eq!(parts(&[CALL, delta, done, incomplete]), (expected, None));
}

#[test]
fn unknown_kinds_are_skipped() {
    let odd = r#"{"type":"response.something.delta","delta":{"an":"object"},"item":7}"#;
    assert_eq!(parts(&[odd, COMPLETED]).1, None);
    assert_eq!(parts(&["[DONE]"]).1, Some(LlmError::Protocol));
    assert_eq!(parts(&["{}"]), (vec![], None));
}

#[test]
fn an_error_ends_it() {
    for (event, expected) in [
        (
            r#"{"type":"error","code":"rate_limit_exceeded","message":"x","sequence_number":1}"#,
            LlmError::RateLimited { retry_after: None },
        ),
        (
            r#"{"type":"error","error":{"type":"server_error"}}"#,
            LlmError::Unavailable,
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed",
                "error":{"code":"server_error","message":"x"}}}"#,
            LlmError::Unavailable,
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed",
                "error":{"code":"context_length_exceeded","message":"x"}}}"#,
            LlmError::ContextExceeded { limit: None },
        ),
        (r#"{"type":"response.failed"}"#, LlmError::Unavailable),
        (r#"{"type":"response.cancelled"}"#, LlmError::Unavailable),
    ] {
        assert_eq!(parts(&[event]), (vec![], Some(expected)), "{event}");
    }
}
