//! A model provider that answers at once: 20 tokens, each an event of its own.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use futures_util::stream;
use serde_json::{Value, json};

use super::Outcome;
use super::process::listen;

const TOKENS: usize = 20;

/// What the answer ends with, by which clients know that it is whole.
pub(crate) const LAST_TOKEN: &str = "word20.";

/// Serves until killed.
pub(crate) async fn serve() -> Outcome {
    let listener = listen().await?;
    let app = Router::new()
        .route("/v1/chat/completions", post(answer))
        .with_state(events().into());
    Ok(axum::serve(listener, app).await?)
}

/// Takes the request's body first, as a real one would.
async fn answer(State(events): State<Arc<[Bytes]>>, _: Bytes) -> impl IntoResponse {
    let events: Vec<_> = events.iter().cloned().map(std::io::Result::Ok).collect();
    let content_type = [(CONTENT_TYPE, "text/event-stream")];
    (content_type, Body::from_stream(stream::iter(events)))
}

fn events() -> Vec<Bytes> {
    let token = |n: usize| match n {
        TOKENS => LAST_TOKEN.to_owned(),
        n => format!("word{n} "),
    };
    let mut chunks: Vec<Value> = (1..=TOKENS)
        .map(|n| choice(&json!({ "content": token(n) }), &Value::Null))
        .collect();
    chunks.insert(
        0,
        choice(&json!({ "role": "assistant", "content": "" }), &Value::Null),
    );
    chunks.push(choice(&json!({}), &json!("stop")));
    let mut usage = choice(&json!({}), &Value::Null);
    usage["choices"] = json!([]);
    usage["usage"] = json!({ "prompt_tokens": 250, "completion_tokens": 20, "total_tokens": 270 });
    chunks.push(usage);
    let events = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n").into());
    events
        .chain([Bytes::from_static(b"data: [DONE]\n\n")])
        .collect()
}

fn choice(delta: &Value, finish_reason: &Value) -> Value {
    json!({
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "object": "chat.completion.chunk",
        "created": 1_741_570_283, "model": "gpt-4.1-mini", "system_fingerprint": "fp_0f1c2d3e4b",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }],
    })
}
