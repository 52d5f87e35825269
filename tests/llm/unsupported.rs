//! Parameters that a server refuses: the call is repeated without, and the next one begins so.

use serde_json::{Value, json};
use talkgraph_llm::{LlmError, Named, ProviderKind};

use crate::caller::{Answer, call, provider, rejected, settings, settings_of};
use crate::upstream::{Received, Script, Upstream};

/// A server that refuses the first of these parameters that a request has, in its own words.
async fn refusing(parameters: &'static [(&'static str, &'static str)]) -> Upstream {
    let answer = |request: &Received| {
        let refused = parameters
            .iter()
            .find(|(name, _)| request.body.get(*name).is_some());
        match refused {
            Some((_, message)) => Script::json(400, &json!({ "error": { "message": message } })),
            None => Script::tokens(["Fine."]),
        }
    };
    Upstream::answering(answer).await
}

fn have(upstream: &Upstream, name: &str) -> Vec<bool> {
    let received = upstream.received();
    received
        .iter()
        .map(|one| one.body.get(name).is_some())
        .collect()
}

#[tokio::test]
async fn a_refused_parameter_is_left_out_from_then_on() {
    let upstream = refusing(&[(
        "stream_options",
        "Unrecognized request argument supplied: stream_options",
    )])
    .await;
    let provider = provider(settings(upstream.base_url()));
    for _ in 0..2 {
        assert_eq!(call(&provider).await, Answer::complete("Fine."));
    }
    assert_eq!(have(&upstream, "stream_options"), [true, false, false]);
    assert_eq!(have(&upstream, "temperature"), [true; 3]);
}

#[tokio::test]
async fn several_parameters_are_left_out_one_after_the_other() {
    let upstream = refusing(&[
        ("stream_options", "stream_options: Extra inputs are not permitted"),
        ("temperature", "`temperature` is deprecated for this model."),
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
    ])
    .await;
    let provider = provider(settings(upstream.base_url()));
    assert_eq!(call(&provider).await, Answer::complete("Fine."));
    assert_eq!(call(&provider).await, Answer::complete("Fine."));
    let received = upstream.received();
    assert_eq!(received.len(), 5);
    assert_eq!(received[4].body, received[3].body);
    assert_eq!(received[4].body["max_completion_tokens"], 64);
    assert_eq!(received[4].body["messages"], received[0].body["messages"]);
}

#[tokio::test]
async fn what_may_not_be_left_out_is_an_error_at_once() {
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    let refused = |param: &str| {
        json!({ "error": {
            "message": format!("Unsupported parameter: '{param}' is not supported."),
            "type": "invalid_request_error", "param": param, "code": "unsupported_parameter",
        } })
    };
    for parameter in ["messages", "model", "tools", "response_format"] {
        upstream.then(Script::json(400, &refused(parameter)));
        let error = LlmError::Rejected {
            status: 400,
            named: Named {
                code: Some("unsupported_parameter".into()),
                parameter: Some(parameter.into()),
            },
        };
        assert_eq!(call(&provider).await, Answer::failed("", error.clone()));
        let message = format!(
            "the model provider refused the request (HTTP 400, code unsupported_parameter, \
             parameter {parameter})"
        );
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(upstream.received().len(), 4);
}

#[tokio::test]
async fn a_guess_that_does_not_help_is_not_remembered() {
    let upstream = Upstream::start().await;
    let message = json!({ "error": { "message": "'temperature' is not supported" } });
    upstream.then(Script::json(400, &message));
    upstream.then(Script::status(400));
    let provider = provider(settings(upstream.base_url()));
    assert_eq!(call(&provider).await, Answer::failed("", rejected(400)));
    call(&provider).await;
    assert_eq!(have(&upstream, "temperature"), [true, false, true]);
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_not_asked_without_end() {
    let upstream = refusing(&[(
        "model",
        "'temperature', 'stream_options', 'max_tokens', 'messages' are not supported",
    )])
    .await;
    let provider = provider(settings(upstream.base_url()));
    assert_eq!(call(&provider).await, Answer::failed("", rejected(400)));
    let asked = upstream.received().len();
    assert!(asked <= 5, "{asked}");
}

#[tokio::test]
async fn each_protocol_is_asked_again() {
    for (kind, parameter) in [
        (ProviderKind::OpenAi, "temperature"),
        (ProviderKind::OpenAiResponses, "temperature"),
        (ProviderKind::Anthropic, "temperature"),
        (ProviderKind::Gemini, "temperature"),
    ] {
        let upstream = Upstream::start().await;
        let refused = json!({ "error": { "message": format!("{parameter}: Extra inputs are not permitted") } });
        upstream.then(Script::json(400, &refused));
        upstream.then(Script::status(500));
        let answer = call(&provider(settings_of(kind, upstream.base_url()))).await;
        assert_eq!(
            answer,
            Answer::failed("", LlmError::Unavailable),
            "{kind:?}"
        );
        let has = |body: &Value| body.to_string().contains(parameter);
        let received = upstream.received();
        assert_eq!(
            (has(&received[0].body), has(&received[1].body)),
            (true, false),
            "{kind:?}"
        );
    }
}
