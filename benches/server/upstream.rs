//! A model provider that answers at once: 20 tokens or as many as it is told, each an event of
//! its own.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use futures_util::stream;
use memchr::memmem;
use serde_json::{Value, json};

use super::Outcome;
use super::process::listen;

/// How many tokens an answer has if nobody says.
const TOKENS: usize = 20;

/// What such an answer ends with, by which clients know that it is whole.
pub(crate) const LAST_TOKEN: &str = "word20.";

/// Who says this is not answered until it goes away.
pub(crate) const QUIET: &str = "Say nothing.";

/// Serves until killed.
pub(crate) async fn serve(tokens: Option<&str>) -> Outcome {
    let tokens = tokens.map_or(Ok(TOKENS), str::parse)?;
    let listener = listen().await?;
    let app = Router::new()
        .route("/v1/chat/completions", post(answer))
        .with_state(events(tokens).into());
    Ok(axum::serve(listener, app).await?)
}

/// Takes the request's body first, as a real one would.
async fn answer(State(events): State<Arc<[Bytes]>>, request: Bytes) -> impl IntoResponse {
    let content_type = [(CONTENT_TYPE, "text/event-stream")];
    let body = match memmem::find(&request, QUIET.as_bytes()) {
        Some(_) => Body::from_stream(stream::pending::<std::io::Result<Bytes>>()),
        None => {
            let count = events.len();
            let event = move |n: usize| std::io::Result::Ok(events[n].clone());
            Body::from_stream(stream::iter((0..count).map(event)))
        }
    };
    (content_type, body)
}

fn events(tokens: usize) -> Vec<Bytes> {
    let word = |n: usize| match n {
        n if n == tokens => format!("word{n}."),
        n => format!("word{n} "),
    };
    let words = (1..=tokens).map(|n| token(&word(n)));
    let events = std::iter::once(first()).chain(words).chain(last(tokens));
    events.map(Bytes::from).collect()
}

/// What comes before the first token.
pub(crate) fn first() -> String {
    let delta = json!({ "role": "assistant", "content": "" });
    event(&choice(&delta, &Value::Null))
}

/// The event of one token.
pub(crate) fn token(text: &str) -> String {
    event(&choice(&json!({ "content": text }), &Value::Null))
}

/// What comes after the last one.
pub(crate) fn last(tokens: usize) -> [String; 3] {
    let stop = choice(&json!({}), &json!("stop"));
    let mut usage = choice(&json!({}), &Value::Null);
    usage["choices"] = json!([]);
    usage["usage"] =
        json!({ "prompt_tokens": 250, "completion_tokens": tokens, "total_tokens": 250 + tokens });
    [event(&stop), event(&usage), "data: [DONE]\n\n".to_owned()]
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn choice(delta: &Value, finish_reason: &Value) -> Value {
    json!({
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "object": "chat.completion.chunk",
        "created": 1_741_570_283, "model": "gpt-4.1-mini", "system_fingerprint": "fp_0f1c2d3e4b",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }],
    })
}
