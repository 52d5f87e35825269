#![allow(clippy::unwrap_used)]

use super::Decoder;
use crate::error::Unusable;
use crate::parts::tests::read;
use crate::{LlmError, StreamPart};
use talkgraph_domain::FinishReason;

fn parts(events: &[&str]) -> (Vec<StreamPart>, Option<LlmError>) {
    read(&mut Decoder::default(), events)
}

#[test]
fn reasons_are_mapped() {
    for (reason, expected) in [
        ("STOP", FinishReason::Stop),
        ("OTHER", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::ContentFilter),
        ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
    ] {
        let event = format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#);
        assert_eq!(
            parts(&[&event]),
            (vec![StreamPart::Finish(expected)], None),
            "{reason}"
        );
    }
    let malformed = r#"{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#;
    let unusable = LlmError::Unusable(Unusable::Malformed);
    assert_eq!(parts(&[malformed]), (vec![], Some(unusable)));
    // After text the model can be informed of the error.
    let text = r#"{"candidates":[{"content":{"parts":[{"text":"Hm."}]}}]}"#;
    let expected = vec![
        StreamPart::Text("Hm.".to_owned()),
        StreamPart::Finish(FinishReason::ToolCalls),
    ];
    assert_eq!(parts(&[text, malformed]), (expected, None));
}

#[test]
fn a_prompt_that_is_blocked_has_no_candidate() {
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]}}"#;
    let expected = vec![StreamPart::Finish(FinishReason::ContentFilter)];
    assert_eq!(parts(&[blocked]), (expected, None));
}

#[test]
fn a_call_without_id_or_arguments_gets_both() {
    let event = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},
        "finishReason":"STOP"}]}"#;
    let (parts, _) = parts(&[event]);
    let StreamPart::ToolCallStarted { id, .. } = &parts[0] else {
        unreachable!("{parts:?}")
    };
    assert!(id.starts_with("call_"), "{id}");
    let delta = "{}".to_owned();
    assert_eq!(parts[1], StreamPart::ToolCallArguments { index: 0, delta });
    assert_eq!(parts[2], StreamPart::ToolCallCompleted { index: 0 });
    assert_eq!(parts[3], StreamPart::Finish(FinishReason::ToolCalls));
}

#[test]
fn an_error_ends_it() {
    for (event, expected) in [
        (
            r#"{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}"#,
            LlmError::RateLimited { retry_after: None },
        ),
        (
            r#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}"#,
            LlmError::Overloaded { retry_after: None },
        ),
    ] {
        assert_eq!(parts(&[event]), (vec![], Some(expected)));
    }
    // An object without known fields is not an answer.
    assert_eq!(parts(&["{}"]), (vec![], None));
    assert_eq!(parts(&["[1"]).1, Some(LlmError::Protocol));
}
