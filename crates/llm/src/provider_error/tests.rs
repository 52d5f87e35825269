#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::{ProviderError, Redaction, piece};
use crate::LlmError::{
    self, Auth, ContextExceeded, Loading, Overloaded, QuotaExhausted, RateLimited, Rejected,
    Unavailable,
};
use crate::Named;

#[test]
fn a_context_that_is_too_small_is_recognised() {
    let exceeded = |limit| ContextExceeded { limit };
    for (body, expected) in [
        (
            r#"{"error":{"code":"context_length_exceeded"}}"#,
            exceeded(None),
        ),
        (
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, you requested 9001","code":"context_length_exceeded"}}"#,
            exceeded(Some(8192)),
        ),
        (
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","code":400}"#,
            exceeded(Some(4096)),
        ),
        (
            r#"{"error":{"code":400,"type":"exceed_context_size_error","n_ctx":2048}}"#,
            exceeded(Some(2048)),
        ),
        (
            r#"{"error":{"code":"model_not_found"}}"#,
            Rejected {
                status: 400,
                named: Named::new(&["model_not_found"], ""),
            },
        ),
        ("<html>", LlmError::rejected(400)),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}"#,
            exceeded(Some(200_000)),
        ),
        (
            r#"[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
            exceeded(Some(1_048_576)),
        ),
        (
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            Auth,
        ),
    ] {
        assert_eq!(
            ProviderError::of_body(body.as_bytes()).with_status(400, None),
            expected,
            "{body}"
        );
    }
}

#[test]
fn a_model_without_tools_is_recognised() {
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"registry.ollama.ai/library/gemma3:4b does not support tools","type":"api_error","param":null,"code":null}}"#,
        ),
        (
            400,
            r#"{"error":"registry.ollama.ai/library/qwen:4b does not support tools"}"#,
        ),
        (
            404,
            r#"{"error":{"message":"No endpoints found that support tool use","code":404}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set","type":"BadRequestError","code":400}}"#,
        ),
        (
            500,
            r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
        ),
    ] {
        let fault = ProviderError::of_body(body.as_bytes());
        let expected = LlmError::ToolsUnsupported { model: None };
        assert_eq!(fault.with_status(status, None), expected, "{body}");
    }
}

#[test]
fn errors_inside_a_stream_are_classified() {
    let of = |json: &str| -> LlmError {
        ProviderError::of_value(&serde_json::from_str(json).unwrap()).in_stream()
    };
    let limited = RateLimited { retry_after: None };
    assert_eq!(of(r#"{"code":429,"message":"slow down"}"#), limited);
    assert_eq!(of(r#"{"code":"502"}"#), Unavailable);
    assert_eq!(of(r#"{"code":"insufficient_quota"}"#), QuotaExhausted);
    assert_eq!(of(r#"{"type":"authentication_error"}"#), Auth);
    assert_eq!(of(r#"{"type":"server_error","code":null}"#), Unavailable);
    let overloaded = Overloaded { retry_after: None };
    assert_eq!(of(r#"{"type":"overloaded_error"}"#), overloaded);
    let large = Rejected {
        status: 413,
        named: Named::new(&["request_too_large"], ""),
    };
    assert_eq!(of(r#"{"type":"request_too_large"}"#), large);
    assert_eq!(of(r#"{"code":503,"status":"UNAVAILABLE"}"#), overloaded);
    assert_eq!(of(r#""out of memory""#), Unavailable);
    assert_eq!(of("[]"), Unavailable);
}

#[test]
fn prompts_and_keys_do_not_reach_the_log() {
    let redaction = Redaction {
        pieces: ["My name is Ada", "sk-1234567"].map(Box::from).into(),
    };
    for said in ["input: 'My name is Ada, and'", "wrong key sk-1234567"] {
        assert!(redaction.apply(said).starts_with("(withheld"), "{said}");
    }
    assert_eq!(redaction.apply("no such\nmodel"), "no such model");
    assert_eq!(redaction.apply(&"x".repeat(9000)).len(), 500);
    assert_eq!(
        piece("\"Hi\" he said to the whole world"),
        Some(" he said to the whole wo")
    );
    assert_eq!(piece("ééééééé"), None);
    assert_eq!(piece("éééééééé"), Some("éééééééé"));
}

#[test]
fn exhausted_credit_differs_from_a_rate_limit() {
    // Each as its vendor sends it.
    for (status, body) in [
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","param":null,"code":"billing_hard_limit_reached"}}"#,
        ),
        (
            429,
            r#"{"error":{"message":"Your account is not active, please check your billing details on our website.","type":"billing_not_active","code":"billing_not_active"}}"#,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#,
        ),
        (
            402,
            r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#,
        ),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
        ),
        (
            402,
            r#"{"error":{"message":"This request requires more credits, or fewer max_tokens.","code":402}}"#,
        ),
        (402, ""),
        (
            403,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"Your team x has either used all available credits or reached its monthly spending limit."}"#,
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Your prepayment credits are depleted.","status":"RESOURCE_EXHAUSTED"}}"#,
        ),
        (
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"21s"}]}}]"#,
        ),
        (
            429,
            r#"{"error":{"message":"Budget has been exceeded! Current cost: 1.2, Max budget: 1.0","type":"budget_exceeded","param":null,"code":"400"}}"#,
        ),
    ] {
        let fault = ProviderError::of_body(body.as_bytes());
        assert_eq!(fault.with_status(status, None), QuotaExhausted, "{body}");
    }
    let minute = r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#;
    let fault = ProviderError::of_body(minute.as_bytes());
    let retry_after = Some(Duration::from_millis(34_500));
    assert_eq!(fault.with_status(429, None), RateLimited { retry_after });
}

#[test]
fn a_server_that_loads_its_model_is_recognised() {
    for (status, body, wait) in [
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            None,
        ),
        (
            503,
            r#"{"error":"Model gpt2 is currently loading","estimated_time":20.5}"#,
            Some(20_500),
        ),
        (500, r#"{"error":"llm server loading model"}"#, None),
        (503, "Model is loading, please try again later", None),
    ] {
        let retry_after = wait.map(Duration::from_millis);
        let fault = ProviderError::of_body(body.as_bytes());
        assert_eq!(
            fault.with_status(status, None),
            Loading { retry_after },
            "{body}"
        );
    }
    let other = ProviderError::of_body(br#"{"error":{"message":"The server is busy."}}"#);
    assert_eq!(
        other.with_status(503, None),
        Overloaded { retry_after: None }
    );
}

#[test]
fn a_refusal_names_its_code_and_parameter_alone() {
    let named = |body: &str| match ProviderError::of_body(body.as_bytes()).with_status(400, None) {
        Rejected { named, .. } => named.to_string(),
        other => panic!("{other:?}"),
    };
    for (body, expected) in [
        (
            r#"{"error":{"message":"Secret words","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
            ", code unsupported_value, parameter temperature",
        ),
        (
            r#"{"error":{"message":"x","type":"invalid_request_error","param":null,"code":null}}"#,
            ", code invalid_request_error",
        ),
        (
            r#"{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}"#,
            ", code INVALID_ARGUMENT",
        ),
        (
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"No."}]}"#,
            ", parameter body.seed",
        ),
        (
            r#"{"error":{"param":"Hi, my key is sk-1","code":"no such thing"}}"#,
            "",
        ),
    ] {
        assert_eq!(named(body), expected, "{body}");
    }
}
