//! Calls that go well.

use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use talkgraph_llm::{
    ChatModel, HttpSettings, LlmError, Provider, ProviderSettings, ProviderSettingsError,
    StreamPart, Unusable, http_client,
};

use crate::caller::{Answer, KEY, LONG, ask, call, collect, provider, scripted, settings, tokens};
use crate::upstream::{Script, Upstream, chunk, finish, usage};

#[tokio::test]
async fn a_call_says_what_was_asked_and_streams_the_answer() {
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    let answer = call(&provider).await;
    let expected = Answer {
        usage: Some(tokens(2, 5)),
        ..Answer::complete("echo 2: How are you?")
    };
    assert_eq!(answer, expected);

    let received = &upstream.received()[0];
    assert_eq!(received.line, "POST /v1/chat/completions");
    assert_eq!(
        received.header("authorization"),
        Some("Bearer sk-test-0123456789")
    );
    assert_eq!(received.header("content-type"), Some("application/json"));
    let agent = concat!("talkgraph/", env!("CARGO_PKG_VERSION"));
    assert_eq!(received.header("user-agent"), Some(agent));
    let body = json!({
        "model": "small",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "How are you?" },
        ],
        "stream": true, "stream_options": { "include_usage": true },
        "temperature": 0.5, "max_tokens": 64,
    });
    assert_eq!(received.body, body);
}

#[tokio::test]
async fn calls_in_turn_share_a_connection() {
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    for _ in 0..20 {
        assert_eq!(call(&provider).await.error, None);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_provider_without_a_key_is_sent_none() {
    let upstream = Upstream::start().await;
    let provider = provider(ProviderSettings {
        api_key: None,
        ..settings(upstream.base_url())
    });
    assert_eq!(call(&provider).await.error, None);
    assert_eq!(upstream.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_token_is_there_before_the_next_is_written() {
    let upstream = Upstream::start().await;
    upstream.then(Script::stream().text(["a", "b"]).hold().text(["c"]).ended());
    let mut stream = provider(settings(upstream.base_url()))
        .stream(ask("?"))
        .await
        .unwrap();
    for expected in ["a", "b"] {
        let part = stream.next().await;
        assert_eq!(part, Some(Ok(StreamPart::Text(expected.to_owned()))));
    }
    upstream.wait_holding(1).await;
    assert_eq!(stream.next().now_or_never(), None);
    upstream.release();
    assert_eq!(collect(stream).await, Answer::complete("c"));
}

#[tokio::test]
async fn usage_may_come_before_the_end_or_not_at_all() {
    let early = Script::stream()
        .event(usage(7, 3))
        .text(["a"])
        .event(finish("stop"));
    assert_eq!(scripted(early, |_| {}).await, Answer::complete("a"));
    let without = Script::stream()
        .text(["a"])
        .event(finish("stop"))
        .event("[DONE]");
    let expected = Answer {
        usage: None,
        ..Answer::complete("a")
    };
    assert_eq!(scripted(without, |_| {}).await, expected);
}

#[tokio::test]
async fn reasoning_is_kept_apart() {
    let script = Script::stream()
        .event(chunk(
            &json!({ "reasoning_content": "Hm", "content": null }),
        ))
        .event(chunk(&json!({ "reasoning": "m.", "content": "" })))
        .text(["Hi"])
        .ended();
    let expected = Answer {
        reasoning: "Hmm.".to_owned(),
        ..Answer::complete("Hi")
    };
    assert_eq!(scripted(script, |_| {}).await, expected);
}

#[tokio::test]
async fn an_answer_in_one_piece_is_taken() {
    let completion = json!({
        "object": "chat.completion",
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "Fine.", "reasoning_content": "Hm" },
        }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 },
    });
    let expected = Answer {
        reasoning: "Hm".to_owned(),
        ..Answer::complete("Fine.")
    };
    let script = Script::json(200, &completion).split_at([1, 50, 100]);
    assert_eq!(scripted(script.clone(), |_| {}).await, expected);
    let answer = scripted(script, |settings| settings.max_event_bytes = 64).await;
    let too_large = LlmError::Unusable(Unusable::PartTooLarge);
    assert_eq!(answer, Answer::failed("", too_large));

    let error = Script::json(200, &json!({ "error": "out of memory" }));
    assert_eq!(
        scripted(error, |_| {}).await,
        Answer::failed("", LlmError::Unavailable)
    );
    for other in [json!({}), json!({ "choices": [] }), json!("Fine.")] {
        let answer = scripted(Script::json(200, &other), |_| {}).await;
        assert_eq!(answer, Answer::failed("", LlmError::Protocol), "{other}");
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let upstream = Upstream::start().await;
    upstream.then(Script::stream().text(["a"]).hold());
    let mut stream = provider(settings(upstream.base_url()))
        .stream(ask("?"))
        .await
        .unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    upstream.wait_holding(1).await;
    drop(stream);
    upstream.wait_closed(1).await;
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    let upstream = Upstream::start().await;
    upstream.then(Script::silence());
    let provider = provider(settings(upstream.base_url()));
    tokio::select! {
        _ = provider.stream(ask("?")) => panic!("nothing was answered"),
        () = upstream.wait_holding(1) => {}
    }
    upstream.wait_closed(1).await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let client = http_client(&HttpSettings {
        connect_timeout: LONG,
        proxies: std::sync::Arc::default(),
    })
    .unwrap();
    let refused = |base_url: &str, key: &str| {
        let settings = ProviderSettings {
            api_key: Some(key.into()),
            ..settings(base_url.to_owned())
        };
        Provider::new(client.clone(), settings).err()
    };
    for url in ["", "localhost/v1", "http://"] {
        let error = refused(url, KEY);
        assert!(
            matches!(error, Some(ProviderSettingsError::NotAUrl(_))),
            "{url} {error:?}"
        );
    }
    for url in ["localhost:8000/v1", "file:///v1", "data:v1"] {
        assert_eq!(
            refused(url, KEY),
            Some(ProviderSettingsError::NotHttp),
            "{url}"
        );
    }
    let with_password = "https://me:secret@example.com/v1";
    assert_eq!(
        refused(with_password, KEY),
        Some(ProviderSettingsError::Credentials)
    );
    let example = "https://example.com/v1/";
    assert_eq!(refused(example, "a\nb"), Some(ProviderSettingsError::Key));
    assert_eq!(refused(example, KEY), None);
}
