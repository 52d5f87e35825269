#![allow(clippy::unwrap_used)]

use super::Decoder;
use crate::parts::tests::read;
use crate::{LlmError, Named, StreamPart};
use talkgraph_domain::{FinishReason, Usage};

fn parts(events: &[&str]) -> (Vec<StreamPart>, Option<LlmError>) {
    read(&mut Decoder::default(), events)
}

const STOP: &str = r#"{"type":"message_stop"}"#;

fn start(index: u64, block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
}

fn stop(index: u64) -> String {
    format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
}

fn stopped(reason: &str) -> String {
    format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#)
}

#[test]
fn reasons_are_mapped() {
    for (reason, expected) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("something_new", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("refusal", FinishReason::ContentFilter),
    ] {
        let (parts, error) = parts(&[&stopped(reason), STOP]);
        assert_eq!(
            (parts, error),
            (vec![StreamPart::Finish(expected)], None),
            "{reason}"
        );
    }
}

#[test]
fn later_counts_replace_earlier_ones() {
    let begun = r#"{"type":"message_start","message":{"usage":{"input_tokens":5,
        "cache_creation_input_tokens":7,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4},"cache_read_input_tokens":11,"output_tokens":1}}}"#;
    let ended = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{
        "output_tokens":20,"output_tokens_details":{"thinking_tokens":9}}}"#;
    let (parts, _) = parts(&[begun, ended, STOP]);
    let usage = |output_tokens, reasoning_tokens| {
        StreamPart::Usage(Usage {
            input_tokens: 23,
            cached_input_tokens: 11,
            cache_write_input_tokens: 7,
            cache_write_1h_input_tokens: 4,
            output_tokens,
            reasoning_tokens,
        })
    };
    let expected = [
        usage(1, 0),
        usage(20, 9),
        StreamPart::Finish(FinishReason::Stop),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn call_cut_by_a_limit_is_not_completed() {
    let tool = |index, id: &str| {
        let block = format!(r#"{{"type":"tool_use","id":"{id}","name":"f","input":{{}}}}"#);
        [start(index, &block), stop(index)]
    };
    let [a, b] = tool(0, "a");
    let [c, d] = tool(1, "b");
    for (reason, completed) in [("max_tokens", 1), ("tool_use", 2)] {
        let (parts, _) = parts(&[&a, &b, &c, &d, &stopped(reason), STOP]);
        let is_completed =
            |part: &&StreamPart| matches!(part, StreamPart::ToolCallCompleted { .. });
        assert_eq!(
            parts.iter().filter(is_completed).count(),
            completed,
            "{reason}"
        );
    }
}

#[test]
fn complete_input_at_the_start_is_used() {
    let block = r#"{"type":"tool_use","id":"a","name":"f","input":{"x":1}}"#;
    let (parts, _) = parts(&[&start(0, block), &stop(0), &stopped("tool_use"), STOP]);
    let delta = r#"{"x":1}"#.to_owned();
    assert!(
        parts.contains(&StreamPart::ToolCallArguments { index: 0, delta }),
        "{parts:?}"
    );
}

#[test]
fn vendor_tools_are_skipped() {
    let own = start(
        0,
        r#"{"type":"server_tool_use","id":"a","name":"web_search","input":{}}"#,
    );
    let input = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#;
    let found = start(
        1,
        r#"{"type":"web_search_tool_result","tool_use_id":"a","content":[]}"#,
    );
    let (parts, error) = parts(&[
        &own,
        input,
        &stop(0),
        &found,
        &stop(1),
        &stopped("end_turn"),
        STOP,
    ]);
    assert_eq!(
        (parts, error),
        (vec![StreamPart::Finish(FinishReason::Stop)], None)
    );
}

#[test]
fn an_error_ends_it() {
    let error =
        |kind: &str| format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"x"}}}}"#);
    for (kind, expected) in [
        (
            "overloaded_error",
            LlmError::Overloaded { retry_after: None },
        ),
        ("api_error", LlmError::Unavailable),
        (
            "rate_limit_error",
            LlmError::RateLimited { retry_after: None },
        ),
        (
            "invalid_request_error",
            LlmError::Rejected {
                status: 400,
                named: Named::new(&["invalid_request_error"], ""),
            },
        ),
    ] {
        assert_eq!(
            parts(&[&stopped("end_turn"), &error(kind)]),
            (vec![], Some(expected))
        );
    }
    assert_eq!(parts(&["[1"]).1, Some(LlmError::Protocol));
}
