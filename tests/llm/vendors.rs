//! What holds for every vendor: how a call is sent, and how it fails.

use std::fmt::Display;

use serde_json::{Value, json};
use talkgraph_domain::FinishReason;
use talkgraph_llm::{ChatModel, LlmError, ProviderKind, ProviderSettings, Unusable};

use crate::caller::{Answer, KEY, SHORT, ask, call, collect, provider, rejected, settings_of};
use crate::upstream::{Script, Upstream, chunk, finish};

const OVERLOADED: LlmError = LlmError::Overloaded { retry_after: None };

/// A vendor's way to say things.
struct Vendor {
    kind: ProviderKind,
    /// Where a call goes, and the header with the key.
    line: &'static str,
    key: (&'static str, String),
    /// An event that says nothing yet.
    silence: Value,
    /// The events before the first text, if there must be some.
    head: Vec<Value>,
    text: fn(&str) -> Value,
    /// The events after the last text.
    tail: Vec<Value>,
    /// The same answer in one piece: `ab`.
    whole: Value,
    /// An error in a stream, and what it is.
    error: (Value, LlmError),
    /// The error body of a prompt that is too long, with a limit of 1,000 tokens.
    too_long: Value,
}

fn vendors() -> Vec<Vendor> {
    vec![chat_completions(), anthropic(), responses(), gemini()]
}

fn chat_completions() -> Vendor {
    let parsed = |text: String| serde_json::from_str(&text).unwrap();
    Vendor {
        kind: ProviderKind::OpenAi,
        line: "POST /v1/chat/completions",
        key: ("authorization", format!("Bearer {KEY}")),
        silence: parsed(chunk(&json!({ "role": "assistant", "content": "" }))),
        head: vec![],
        text: |text| serde_json::from_str(&chunk(&json!({ "content": text }))).unwrap(),
        tail: vec![parsed(finish("stop"))],
        whole: json!({ "choices": [{ "message": { "content": "ab" }, "finish_reason": "stop" }] }),
        error: (
            json!({ "error": { "code": 503, "message": "x" } }),
            OVERLOADED,
        ),
        too_long: json!({ "error": { "code": "context_length_exceeded",
            "message": "This model's maximum context length is 1000 tokens." } }),
    }
}

fn anthropic() -> Vendor {
    let started = json!({ "type": "message_start", "message": { "content": [] } });
    Vendor {
        kind: ProviderKind::Anthropic,
        line: "POST /v1/messages",
        key: ("x-api-key", KEY.to_owned()),
        silence: json!({ "type": "ping" }),
        head: vec![
            started,
            json!({ "type": "content_block_start", "index": 0,
                "content_block": { "type": "text", "text": "" } }),
        ],
        text: |text| {
            json!({ "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": text } })
        },
        tail: vec![
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" } }),
            json!({ "type": "message_stop" }),
        ],
        whole: json!({ "type": "message", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": "ab" }] }),
        error: (
            json!({ "type": "error", "error": { "type": "overloaded_error" } }),
            OVERLOADED,
        ),
        too_long: json!({ "type": "error", "error": { "type": "invalid_request_error",
            "message": "prompt is too long: 2000 tokens > 1000 maximum" } }),
    }
}

fn responses() -> Vendor {
    Vendor {
        kind: ProviderKind::OpenAiResponses,
        line: "POST /v1/responses",
        key: ("authorization", format!("Bearer {KEY}")),
        silence: json!({ "type": "response.created", "response": { "status": "in_progress" } }),
        head: vec![
            json!({ "type": "response.output_item.added", "output_index": 0,
            "item": { "type": "message", "content": [] } }),
        ],
        text: |text| json!({ "type": "response.output_text.delta", "output_index": 0, "delta": text }),
        tail: vec![
            json!({ "type": "response.output_item.done", "output_index": 0,
                "item": { "type": "message", "content": [{ "type": "output_text", "text": "ab" }] } }),
            json!({ "type": "response.completed", "response": { "status": "completed" } }),
        ],
        whole: json!({ "object": "response", "status": "completed", "error": null, "output": [
            { "type": "message", "content": [{ "type": "output_text", "text": "ab" }] }] }),
        error: (
            json!({ "type": "error", "error": { "code": "server_error" } }),
            LlmError::Unavailable,
        ),
        too_long: json!({ "error": { "code": "context_length_exceeded", "message":
            "Your input exceeds the context window of this model (1000 tokens)." } }),
    }
}

fn gemini() -> Vendor {
    fn part(text: &str) -> Value {
        json!({ "candidates": [{ "content": { "parts": [{ "text": text }], "role": "model" } }] })
    }
    Vendor {
        kind: ProviderKind::Gemini,
        line: "POST /v1/models/small:streamGenerateContent?alt=sse",
        key: ("x-goog-api-key", KEY.to_owned()),
        silence: json!({ "usageMetadata": { "promptTokenCount": 1 } }),
        head: vec![],
        text: part,
        tail: vec![json!({ "candidates": [{ "finishReason": "STOP" }] })],
        whole: json!([part("a"), part("b"), { "candidates": [{ "finishReason": "STOP" }] }]),
        error: (
            json!({ "error": { "code": 503, "status": "UNAVAILABLE" } }),
            OVERLOADED,
        ),
        too_long: json!([{ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message":
            "The input token count (2000) exceeds the maximum number of tokens allowed (1000)." } }]),
    }
}

impl Vendor {
    fn events<T: Display>(script: Script, events: impl IntoIterator<Item = T>) -> Script {
        events.into_iter().fold(script, Script::event)
    }

    /// A stream that says `ab` and goes on.
    fn begun(&self) -> Script {
        let script = Self::events(Script::stream(), &self.head);
        Self::events(script, ["a", "b"].map(self.text))
    }

    fn said(&self) -> Script {
        Self::events(self.begun(), &self.tail)
    }

    async fn answer(&self, script: Script, change: impl FnOnce(&mut ProviderSettings)) -> Answer {
        let upstream = Upstream::start().await;
        upstream.then(script);
        let mut settings = settings_of(self.kind, upstream.base_url());
        change(&mut settings);
        Answer {
            // Who counts, and when, differs.
            usage: None,
            ..call(&provider(settings)).await
        }
    }

    fn failed(&self, text: &str, error: LlmError) -> Answer {
        Answer::failed(text, error)
    }
}

fn complete() -> Answer {
    Answer {
        text: "ab".to_owned(),
        finish: Some(FinishReason::Stop),
        ..Answer::default()
    }
}

#[tokio::test]
async fn a_call_has_its_path_and_its_key() {
    for vendor in vendors() {
        let upstream = Upstream::start().await;
        upstream.then(vendor.said());
        upstream.then(vendor.said());
        let settings = settings_of(vendor.kind, upstream.base_url() + "/?version=1");
        let stream = provider(settings).stream(ask("How are you?")).await;
        assert_eq!(collect(stream.unwrap()).await.error, None);
        let bare = ProviderSettings {
            api_key: None,
            ..settings_of(vendor.kind, upstream.base_url())
        };
        assert_eq!(call(&provider(bare)).await.error, None);

        let [with, without] = &upstream.received()[..] else {
            panic!("two calls")
        };
        let (path, _) = vendor.line.split_once('?').unwrap_or((vendor.line, ""));
        assert!(
            with.line.starts_with(&format!("{path}?version=1")),
            "{}",
            with.line
        );
        assert_eq!(without.line, vendor.line);
        let (name, value) = &vendor.key;
        assert_eq!(with.header(name), Some(&**value));
        assert_eq!(without.header(name), None);
        assert_eq!(with.header("content-type"), Some("application/json"));
        assert!(!with.line.contains(KEY), "a URL ends up in logs");
        assert!(
            with.body.to_string().contains("How are you?"),
            "{}",
            with.body
        );
        assert!(!with.body.to_string().contains(KEY));
    }
}

#[tokio::test]
async fn an_answer_comes_as_a_stream_or_in_one_piece() {
    for vendor in vendors() {
        assert_eq!(vendor.answer(vendor.said(), |_| {}).await, complete());
        let whole = Script::json(200, &vendor.whole);
        assert_eq!(
            vendor.answer(whole, |_| {}).await,
            complete(),
            "{:?}",
            vendor.kind
        );
    }
}

#[tokio::test]
async fn every_status_has_its_error() {
    for vendor in vendors() {
        for (status, expected) in [
            (400, rejected(400)),
            (401, LlmError::Auth),
            (403, LlmError::Auth),
            (404, rejected(404)),
            (408, LlmError::Unavailable),
            (413, rejected(413)),
            (429, LlmError::RateLimited { retry_after: None }),
            (500, LlmError::Unavailable),
            (529, OVERLOADED),
        ] {
            let script = Script::json(status, &json!({ "error": { "message": "No." } }));
            let answer = vendor.answer(script, |_| {}).await;
            assert_eq!(
                answer,
                vendor.failed("", expected),
                "{:?} {status}",
                vendor.kind
            );
        }
        let script = Script::json(400, &vendor.too_long);
        let exceeded = LlmError::ContextExceeded { limit: Some(1000) };
        assert_eq!(
            vendor.answer(script, |_| {}).await,
            vendor.failed("", exceeded)
        );
    }
}

#[tokio::test]
async fn an_error_inside_a_good_answer_fails_the_call() {
    for vendor in vendors() {
        let (event, error) = &vendor.error;
        let streamed = vendor.begun().event(event);
        let answer = vendor.answer(streamed, |_| {}).await;
        assert_eq!(
            answer,
            vendor.failed("ab", error.clone()),
            "{:?}",
            vendor.kind
        );
        // With status 200, and no stream at all.
        let whole = Script::json(200, event);
        let answer = vendor.answer(whole, |_| {}).await;
        assert_eq!(
            answer,
            vendor.failed("", error.clone()),
            "{:?}",
            vendor.kind
        );
    }
}

#[tokio::test]
async fn a_cut_is_an_error_and_what_came_before_is_kept() {
    for vendor in vendors() {
        for script in [
            vendor.begun().cut(),
            vendor.begun(),
            vendor.begun().bytes("data: {\"type\":"),
            vendor.begun().event("{\"type\":"),
            vendor.begun().bytes(b"data: \xff\xfe\n\n".as_slice()),
        ] {
            let answer = vendor.answer(script, |_| {}).await;
            assert_eq!(
                answer,
                vendor.failed("ab", LlmError::Protocol),
                "{:?}",
                vendor.kind
            );
        }
        for script in [
            Script::stream(),
            Script::stream().event(&vendor.silence),
            Script::stream().bytes("<html>Please log in</html>\n\n"),
            Script::json(200, &json!([])),
        ] {
            let answer = vendor.answer(script, |_| {}).await;
            assert_eq!(
                answer,
                vendor.failed("", LlmError::Protocol),
                "{:?}",
                vendor.kind
            );
        }
    }
}

#[tokio::test]
async fn silence_stalls_and_trickles_have_their_limits() {
    for vendor in vendors() {
        let first = |settings: &mut ProviderSettings| settings.first_token_timeout = SHORT;
        let silent = Script::stream().event(&vendor.silence).hold();
        let answer = vendor.answer(silent, first).await;
        assert_eq!(
            answer,
            vendor.failed("", LlmError::FirstTokenTimeout(SHORT))
        );

        let idle = |settings: &mut ProviderSettings| settings.idle_timeout = SHORT;
        let stalled = vendor.begun().event(&vendor.silence).hold();
        let answer = vendor.answer(stalled, idle).await;
        assert_eq!(answer, vendor.failed("ab", LlmError::IdleTimeout(SHORT)));

        let total = |settings: &mut ProviderSettings| settings.total_timeout = SHORT;
        let endless = Vendor::events(Script::stream(), &vendor.head);
        let endless = Vendor::events(endless, vec![(vendor.text)("a"); 1000]);
        let trickle = endless.paced(std::time::Duration::from_millis(2));
        let answer = vendor.answer(trickle, total).await;
        assert_eq!(
            answer.error,
            Some(LlmError::TotalTimeout(SHORT)),
            "{:?}",
            vendor.kind
        );
    }
}

/// 100 MB without a line end: no more is read of it than the limit and what is on its way.
#[tokio::test]
async fn an_endless_line_ends_the_call() {
    const MEGABYTE: usize = 1024 * 1024;
    for vendor in vendors() {
        let upstream = Upstream::start().await;
        let start = vendor.begun().bytes("data: ");
        let line = (0..100).fold(start, |script, _| script.bytes(vec![b'x'; MEGABYTE]));
        upstream.then(line);
        let answer = call(&provider(settings_of(vendor.kind, upstream.base_url()))).await;
        let answer = Answer {
            usage: None,
            ..answer
        };
        let too_large = LlmError::Unusable(Unusable::PartTooLarge);
        assert_eq!(answer, vendor.failed("ab", too_large));
        upstream.wait_closed(1).await;
    }
}
