//! Providers that fail: the run is data, what was said is kept, and nothing leaks.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::server::{PROVIDER_KEY, Setup, TestServer};
use crate::support::talk::{chat, messages, run_events, string};
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::soon;

/// What no answer and no log may have, whatever the provider writes into its errors.
const QUESTION: &str = "My password is hunter2, is it safe?";

/// A body as real providers write them: with the key and the prompt in it.
fn body() -> Value {
    let message = format!("Incorrect API key provided: {PROVIDER_KEY}. Input was: {QUESTION}");
    json!({ "error": { "message": message, "type": "some_error", "code": "provider_says" } })
}

/// A server that shows each failure: it repeats no call, and gives no model a rest.
fn untried() -> Setup {
    Setup::new()
        .set("models.resilience.attempts", 1)
        .set("models.resilience.breaker_failures", 0)
}

/// How a run of a script ends: its error, and the text that is kept.
async fn check(server: &TestServer, script: Option<Script>, error: Value, text: Option<&str>) {
    let client = server.client();
    if let Some(script) = script {
        server.upstream.then(script);
    }
    let answer = chat(&client, None, QUESTION).await;
    let run = &answer["run"];
    assert_eq!(run["status"], "FAILED", "{answer}");
    assert_eq!(run["finishReason"], "ERROR");
    assert_eq!(run["error"], error);
    assert_eq!(answer["message"]["text"], json!(text));
    assert_eq!(run["output"]["text"], json!(text));

    let log = run_events(&client, &string(&run["id"]), 0).await;
    let last = log.last().unwrap();
    assert_eq!(
        (&last["__typename"], &last["error"]),
        (&json!("RunFailed"), &error)
    );
    for inside in [PROVIDER_KEY, "Incorrect"] {
        let told = format!("{answer} {log:?}");
        assert!(!told.contains(inside), "{inside}: {told}");
    }

    // What the person said is kept, with what there is of an answer.
    let session = string(&answer["session"]["id"]);
    let mut expected = vec![format!("USER: {QUESTION}")];
    expected.extend(text.map(|text| format!("ASSISTANT: {text}")));
    assert_eq!(messages(&client, &session).await, expected);
}

fn error(code: &str, message: &str, retryable: bool) -> Value {
    json!({ "code": code, "message": message, "retryable": retryable })
}

#[tokio::test]
async fn a_provider_that_is_not_there() {
    let (log, _guard) = Log::start();
    // A port that was free a moment ago.
    let gone = Upstream::start().await.base_url();
    let server = untried().start_with(Upstream::start().await, &gone).await;
    let unreachable = error(
        "PROVIDER_UNAVAILABLE",
        "the model provider could not be reached",
        true,
    );
    check(&server, None, unreachable, None).await;
    log.check("Connection refused").await;
}

#[tokio::test]
async fn a_provider_that_answers_with_an_error() {
    let (log, _guard) = Log::start();
    let server = untried().start().await;
    let unavailable = "the model provider returned a server error";
    for (status, code, message, retryable) in [
        (
            400,
            "PROVIDER_REJECTED",
            "the model provider refused the request (HTTP 400, code provider_says)",
            false,
        ),
        (
            401,
            "PROVIDER_AUTH",
            "the model provider refused this server's credentials",
            false,
        ),
        (
            429,
            "PROVIDER_RATE_LIMITED",
            "the model provider reports too many requests from this server",
            true,
        ),
        (
            409,
            "PROVIDER_REJECTED",
            "the model provider refused the request (HTTP 409, code provider_says)",
            true,
        ),
        (500, "PROVIDER_UNAVAILABLE", unavailable, true),
        (
            503,
            "PROVIDER_UNAVAILABLE",
            "the model provider is overloaded",
            true,
        ),
    ] {
        let script = Script::json(status, &body());
        check(&server, Some(script), error(code, message, retryable), None).await;
    }
    let hung_up = error("PROVIDER_UNAVAILABLE", unavailable, true);
    check(&server, Some(Script::hang_up()), hung_up, None).await;
    log.check("PROVIDER_AUTH").await;
}

#[tokio::test]
async fn an_account_without_credit_has_a_code_of_its_own() {
    let server = Setup::new().start().await;
    let empty = json!({ "error": { "message": "You exceeded your current quota, please check your \
        plan and billing details.", "type": "insufficient_quota", "code": "insufficient_quota" } });
    let exhausted = error(
        "PROVIDER_QUOTA_EXHAUSTED",
        "the model provider's account has no credit or quota left: check its plan and billing, or \
         use another key or model",
        false,
    );
    check(&server, Some(Script::json(429, &empty)), exhausted, None).await;
    assert_eq!(server.upstream.received().len(), 1);
}

#[tokio::test]
async fn an_error_in_a_good_answer_is_read_as_one_and_logged() {
    let (log, _guard) = Log::start();
    let server = untried().start().await;
    let quota = r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    for kind in ["text/event-stream", "application/json", "text/plain"] {
        let script = Script::status(200).header("content-type", kind);
        server.upstream.then(script.bytes(format!("{quota}\n")));
        let answer = chat(&server.client(), None, QUESTION).await;
        let code = &answer["run"]["error"]["code"];
        assert_eq!(code, "PROVIDER_QUOTA_EXHAUSTED", "{kind}: {answer}");
    }
    for kind in ["text/event-stream", "application/json"] {
        let page = "<html><title>Sign in to the gateway</title></html>";
        let script = Script::status(200).header("content-type", kind);
        server.upstream.then(script.bytes(page));
        let answer = chat(&server.client(), None, QUESTION).await;
        assert_eq!(
            answer["run"]["error"]["code"], "PROVIDER_PROTOCOL",
            "{kind}: {answer}"
        );
    }
    log.check("You exceeded your current quota").await;
    log.check("Sign in to the gateway").await;
}

#[tokio::test]
async fn a_gateway_gets_its_own_headers_and_parameters() {
    let upstream = Upstream::start().await;
    let file = format!(
        "[models.providers.az]\nkind = \"openai\"\n\
         base_url = \"{}/openai/deployments/gpt/chat/completions?api-version=1\"\n\
         headers = {{ \"api-key\" = {{ env = \"AZ_KEY\" }}, x-team = \"a-team\" }}\n\
         query = {{ trace = \"on\" }}\n",
        upstream.base_url().trim_end_matches("/v1")
    );
    let server = Setup::new()
        .file(&file)
        .variable("AZ_KEY", "az-secret-1")
        .set("models.default", "az/gpt")
        .start_with(Upstream::start().await, "http://127.0.0.1:9/v1")
        .await;
    let answer = chat(&server.client(), None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    let asked = &upstream.received()[0];
    assert_eq!(
        asked.line,
        "POST /openai/deployments/gpt/chat/completions?api-version=1&trace=on"
    );
    assert_eq!(asked.header("api-key"), Some("az-secret-1"));
    assert_eq!(asked.header("x-team"), Some("a-team"));
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn a_refused_parameter_costs_one_call_for_all_runs() {
    let server = untried().start().await;
    let refused = json!({ "error": {
        "message": "Unrecognized request argument supplied: stream_options",
        "type": "invalid_request_error" } });
    server.upstream.then(Script::json(400, &refused));
    for _ in 0..2 {
        let answer = chat(&server.client(), None, "Hello").await;
        assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    }
    let received = server.upstream.received();
    let asked: Vec<_> = received
        .iter()
        .map(|one| one.body.get("stream_options").is_some())
        .collect();
    assert_eq!(asked, [true, false, false]);
}

#[tokio::test]
async fn a_provider_that_stalls() {
    let (log, _guard) = Log::start();
    let server = untried()
        .set("models.openai.first_token_timeout_ms", 200)
        .set("models.openai.idle_timeout_ms", 200)
        .start()
        .await;
    let first = error(
        "FIRST_TOKEN_TIMEOUT",
        "the model gave no first token within 0.2 s",
        true,
    );
    check(&server, Some(Script::silence()), first.clone(), None).await;
    check(&server, Some(Script::stream().hold()), first, None).await;
    let idle = error(
        "IDLE_TIMEOUT",
        "the model gave no further token for 0.2 s",
        true,
    );
    let script = Script::stream().text(["Well", ", "]).hold();
    check(&server, Some(script), idle, Some("Well, ")).await;
    soon("the calls to be given up", server.upstream.wait_closed(3)).await;
    log.check("IDLE_TIMEOUT").await;
}

#[tokio::test]
async fn a_provider_that_breaks_off_or_makes_no_sense() {
    let (log, _guard) = Log::start();
    let server = untried().start().await;
    let protocol = error(
        "PROVIDER_PROTOCOL",
        "the model provider's answer was interrupted or malformed",
        true,
    );
    let said = || Script::stream().text(["Well", ", "]);
    for script in [
        said().cut(),
        said(),
        said().event("{\"choices\":"),
        said().bytes([0xff; 64]),
    ] {
        let script = script.clone();
        check(&server, Some(script), protocol.clone(), Some("Well, ")).await;
    }
    let garbage = Script::stream().bytes("<html>Incorrect</html>\n\n");
    check(&server, Some(garbage), protocol, None).await;
    let inside = error(
        "PROVIDER_UNAVAILABLE",
        "the model provider returned a server error",
        true,
    );
    check(
        &server,
        Some(said().event(body()).ended()),
        inside,
        Some("Well, "),
    )
    .await;
    log.check("PROVIDER_PROTOCOL").await;
}

#[tokio::test]
async fn each_limit_in_time_has_its_code() {
    // A provider whose connections are never ready: TLS gets no answer.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}/v1", mute.local_addr().unwrap());
    let server = untried()
        .set("models.openai.connect_timeout_ms", 100)
        .start_with(Upstream::start().await, &address)
        .await;
    let connect = error(
        "CONNECT_TIMEOUT",
        "the model provider could not be reached in time",
        true,
    );
    check(&server, None, connect, None).await;

    let server = untried()
        .set("models.openai.total_timeout_ms", 200)
        .start()
        .await;
    let call = error(
        "CALL_TIMEOUT",
        "the model call took longer than 0.2 s",
        true,
    );
    let script = Script::stream().text(["Well, "]).hold();
    check(&server, Some(script), call, Some("Well, ")).await;
}

#[tokio::test]
async fn a_model_that_fails_again_and_again_is_given_a_rest() {
    let server = Setup::new()
        .set("models.resilience.backoff_ms", 1)
        .set("models.resilience.breaker_pause_ms", 3_600_000)
        .start()
        .await;
    for _ in 0..5 {
        server.upstream.then(Script::json(500, &body()));
    }
    let client = server.client();
    for expected in ["returned a server error", "is not called for a while"] {
        let answer = chat(&client, None, QUESTION).await;
        let message = string(&answer["run"]["error"]["message"]);
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(server.upstream.received().len(), 5);
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let server = Setup::new().set("runs.answer_bytes", 1_000).start().await;
    let client = server.client();
    server
        .upstream
        .then(Script::stream().text(vec!["x".repeat(100); 20]).hold());
    let answer = chat(&client, None, "Go").await;
    let expected = error("ANSWER_TOO_LONG", "the answer grew past 1000 bytes", false);
    assert_eq!(answer["run"]["error"], expected);
    assert!(string(&answer["message"]["text"]).len() >= 1_000);
    soon("the call to be given up", server.upstream.wait_closed(1)).await;
}

#[tokio::test]
async fn a_model_call_that_takes_too_long_is_ended() {
    let server = Setup::new().set("runs.step_timeout_s", 1).start().await;
    let script = Script::stream().text(["Well, "]).hold();
    let expected = error("STEP_TIMEOUT", "the model call took longer than 1 s", true);
    check(&server, Some(script), expected, Some("Well, ")).await;
    soon("the call to be given up", server.upstream.wait_closed(1)).await;
}

#[tokio::test]
async fn a_model_call_is_told_how_long_its_answer_may_be() {
    let setup = Setup::new().set("runs.max_output_tokens", 7);
    let server = setup.start().await;
    chat(&server.client(), None, "Hello").await;
    let asked = &server.upstream.received()[0].body;
    let limit = asked
        .get("max_tokens")
        .or(asked.get("max_completion_tokens"));
    assert_eq!(limit, Some(&json!(7)), "{asked}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended() {
    let server = Setup::new().set("runs.timeout_s", 1).start().await;
    server
        .upstream
        .then(Script::stream().text(["Well, "]).hold());
    let expected = error("RUN_TIMEOUT", "the run took longer than 1 s", true);
    check(&server, None, expected, Some("Well, ")).await;
}

#[tokio::test]
async fn a_session_is_usable_after_a_failure() {
    let server = untried().start().await;
    let client = server.client();
    server
        .upstream
        .then(Script::stream().text(["Well, "]).cut());
    server.upstream.then(Script::status(500));
    let failed = chat(&client, None, "One").await;
    let session = string(&failed["session"]["id"]);
    let failed = chat(&client, Some(&session), "Two").await;
    assert_eq!(failed["run"]["status"], "FAILED");
    let answered = chat(&client, Some(&session), "Three").await;
    assert_eq!(answered["run"]["status"], "COMPLETED");
    assert_eq!(
        messages(&client, &session).await,
        [
            "USER: One",
            "ASSISTANT: Well, ",
            "USER: Two",
            "USER: Three",
            // Two questions in a row are sent as one message.
            "ASSISTANT: echo 4: Two\n\nThree"
        ]
    );
}

/// What is logged on this test's thread, on which the whole server runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let sink = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || sink.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// That something was logged, and nothing that must not be.
    async fn check(&self, code: &str) {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains(code), "{code}: {log}");
        for secret in [PROVIDER_KEY, "hunter2", "Incorrect API key"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
