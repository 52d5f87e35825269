//! Calls that fail, and how.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use talkgraph_domain::FinishReason;
use talkgraph_llm::{HttpSettings, LlmError, Provider, ProviderSettings, Unusable, http_client};

use crate::caller::{Answer, KEY, SHORT, call, provider, rejected, scripted, settings};
use crate::upstream::{Script, Upstream, chunk, finish};

#[tokio::test]
async fn every_status_has_its_error() {
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    let retry_after = Some(Duration::from_secs(7));
    let overloaded = || LlmError::Overloaded { retry_after };
    for (status, expected) in [
        (301, rejected(301)),
        (400, rejected(400)),
        (401, LlmError::Auth),
        (403, LlmError::Auth),
        (404, rejected(404)),
        (408, overloaded()),
        (409, rejected(409)),
        (422, rejected(422)),
        (429, LlmError::RateLimited { retry_after }),
        (500, overloaded()),
        (503, overloaded()),
        (529, overloaded()),
    ] {
        let body = json!({ "error": { "message": "Wrong key sk-t***. How are you?" } });
        let script = Script::json(status, &body).header("retry-after", "7");
        upstream.then(script.header("location", "/elsewhere"));
        assert_eq!(
            call(&provider).await,
            Answer::failed("", expected),
            "{status}"
        );
    }
    assert_eq!(
        upstream.received().len(),
        12,
        "nothing is sent twice, or elsewhere"
    );
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_told_apart() {
    let error = json!({ "error": {
        "message": "This model's maximum context length is 8192 tokens. However, you requested more.",
        "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
    } });
    let exceeded = LlmError::ContextExceeded { limit: Some(8192) };
    let answer = scripted(Script::json(400, &error), |_| {}).await;
    assert_eq!(answer, Answer::failed("", exceeded));
}

#[tokio::test]
async fn an_endless_error_body_is_not_read_to_its_end() {
    let upstream = Upstream::start().await;
    let script = (0..64).fold(Script::status(500), |script, _| {
        script.bytes(vec![b'x'; 1024])
    });
    upstream.then(script.hold());
    let answer = call(&provider(settings(upstream.base_url()))).await;
    assert_eq!(answer, Answer::failed("", LlmError::Unavailable));
    upstream.wait_closed(1).await;
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable_and_one_that_hangs_up_unavailable() {
    let base_url = Upstream::start().await.base_url();
    let answer = call(&provider(settings(base_url))).await;
    assert_eq!(answer, Answer::failed("", LlmError::Unreachable));
    let answer = scripted(Script::hang_up(), |_| {}).await;
    assert_eq!(answer, Answer::failed("", LlmError::Unavailable));
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_told_apart() {
    // It is accepted, but TLS, which is part of a connection, gets no answer.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}/v1", listener.local_addr().unwrap());
    let client = http_client(&HttpSettings {
        connect_timeout: SHORT,
        proxies: Arc::default(),
    });
    let provider = Provider::new(client.unwrap(), settings(base_url)).unwrap();
    let answer = call(&provider).await;
    assert_eq!(answer, Answer::failed("", LlmError::ConnectTimeout));
}

#[tokio::test]
async fn silence_ends_at_the_first_token_limit() {
    let expected = Answer::failed("", LlmError::FirstTokenTimeout(SHORT));
    let limit = |settings: &mut ProviderSettings| settings.first_token_timeout = SHORT;
    assert_eq!(scripted(Script::silence(), limit).await, expected);
    let role = chunk(&json!({ "role": "assistant", "content": "" }));
    let only_a_role = Script::stream().event(role).hold();
    assert_eq!(scripted(only_a_role, limit).await, expected);
}

#[tokio::test]
async fn a_stall_ends_at_the_idle_limit() {
    let script = Script::stream().text(["a"]).hold().ended();
    let answer = scripted(script, |settings| settings.idle_timeout = SHORT).await;
    assert_eq!(answer, Answer::failed("a", LlmError::IdleTimeout(SHORT)));
}

#[tokio::test]
async fn a_long_answer_ends_at_the_total_limit() {
    let script = Script::tokens(["a"; 1000]).paced(Duration::from_millis(2));
    let answer = scripted(script, |settings| settings.total_timeout = SHORT).await;
    assert_eq!(answer.error, Some(LlmError::TotalTimeout(SHORT)));
    assert!(answer.text.len() < 1000, "{}", answer.text.len());
    let silent = scripted(Script::silence(), |settings| settings.total_timeout = SHORT).await;
    assert_eq!(silent.error, Some(LlmError::TotalTimeout(SHORT)));
}

#[tokio::test]
async fn a_trickle_of_bytes_is_no_progress() {
    let pause = Duration::from_millis(5);
    let event = format!(
        "data: {}\n\n",
        chunk(&json!({ "content": "b".repeat(10_000) }))
    );
    for trickle in [": still here, if not for long\n\n".repeat(1_000), event] {
        let pieces = 0..trickle.len();
        let script = Script::stream()
            .bytes(trickle)
            .split_at(pieces)
            .paced(pause);
        let answer = scripted(script.clone(), |settings| {
            settings.first_token_timeout = SHORT;
        });
        let expected = LlmError::FirstTokenTimeout(SHORT);
        assert_eq!(answer.await, Answer::failed("", expected));

        let mut after_a_token = Script::stream().text(["a"]);
        after_a_token.append(script);
        let answer = scripted(after_a_token.clone(), |settings| {
            settings.idle_timeout = SHORT;
        });
        let expected = LlmError::IdleTimeout(SHORT);
        assert_eq!(answer.await, Answer::failed("a", expected));

        let answer = scripted(after_a_token, |settings| settings.total_timeout = SHORT).await;
        let expected = LlmError::TotalTimeout(SHORT);
        assert_eq!(answer, Answer::failed("a", expected));
    }
}

#[tokio::test]
async fn a_cut_is_an_error_and_what_came_before_is_kept() {
    let cut = Answer::failed("ab", LlmError::Protocol);
    let start = Script::stream().text(["a", "b"]);
    assert_eq!(scripted(start.clone().cut(), |_| {}).await, cut);
    // A clean end of the body without a finish reason is a cut as well.
    assert_eq!(scripted(start.clone(), |_| {}).await, cut);
    let half = start.clone().bytes("data: {\"choices\":[");
    assert_eq!(scripted(half, |_| {}).await, cut);
    // After the finish reason a cut takes nothing but the usage.
    let finished = start.event(finish("length")).cut();
    let answer = scripted(finished, |_| {}).await;
    assert_eq!(
        (answer.finish, answer.error),
        (Some(FinishReason::Length), None)
    );
}

#[tokio::test]
async fn garbage_is_an_error() {
    let start = Script::stream().text(["a"]);
    let bad_json = start.clone().event("{\"choices\":").text(["b"]).ended();
    let bad_utf8 = start
        .clone()
        .bytes(b"data: \xff\xfe\n\n".as_slice())
        .ended();
    for script in [bad_json, bad_utf8] {
        assert_eq!(
            scripted(script, |_| {}).await,
            Answer::failed("a", LlmError::Protocol)
        );
    }
    let page = Script::stream().bytes("<html>Please log in</html>\n\n");
    let noise = Script::stream().bytes((0_u8..=255).collect::<Vec<_>>());
    for script in [page, noise] {
        assert_eq!(
            scripted(script, |_| {}).await,
            Answer::failed("", LlmError::Protocol)
        );
    }
}

#[tokio::test]
async fn an_oversized_line_ends_the_call_at_once() {
    let upstream = Upstream::start().await;
    // Held open behind the limit: the call must not wait for the line's end.
    let start = Script::stream().text(["a"]).bytes("data: ");
    let script = (0..32).fold(start, |script, _| script.bytes(vec![b'x'; 1024]));
    upstream.then(script.hold());
    let answer = call(&provider(settings(upstream.base_url()))).await;
    assert_eq!(
        answer,
        Answer::failed("a", LlmError::Unusable(Unusable::PartTooLarge))
    );
    upstream.wait_closed(1).await;
}

#[tokio::test]
async fn an_error_inside_a_stream_fails_the_call() {
    let start = Script::stream().text(["a"]);
    let rate = json!({ "error": { "code": 429, "message": "slow down" } });
    let script = start.clone().event(rate).ended();
    assert_eq!(
        scripted(script, |_| {}).await,
        Answer::failed("a", LlmError::RateLimited { retry_after: None })
    );
    let named = start
        .bytes("event: error\ndata: {\"message\":\"overloaded\"}\n\n")
        .ended();
    assert_eq!(
        scripted(named, |_| {}).await,
        Answer::failed("a", LlmError::Unavailable)
    );
}

#[tokio::test]
async fn the_log_has_the_providers_words_but_no_secrets() {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || sink.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let upstream = Upstream::start().await;
    let provider = provider(settings(upstream.base_url()));
    for message in [
        "no model \"small\"",
        "input: 'How are you?'",
        "wrong key sk-test-0123456789",
    ] {
        let error = json!({ "error": { "message": message, "code": "some_code" } });
        upstream.then(Script::json(404, &error));
        upstream.then(Script::stream().event(error));
        call(&provider).await;
        call(&provider).await;
    }
    drop(guard);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 6, "{log}");
    for said in [
        "no model",
        "status=404",
        "status=200",
        "127.0.0.1",
        "some_code",
        "withheld",
    ] {
        assert!(
            warnings.iter().any(|line| line.contains(said)),
            "{said}: {log}"
        );
    }
    for secret in ["How are you?", KEY] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
