//! What the server is measured against: the least that an HTTP service in front of a model
//! can do. No GraphQL, no history, nothing stored, no limits, no time-outs.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::Stream;
use memchr::memchr;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use super::process::listen;

/// As long a prompt as the server's own.
const INSTRUCTIONS: &str = include_str!("../../agents/research.toml");

struct Relay {
    client: Client,
    url: String,
}

#[derive(Deserialize)]
struct Ask {
    text: String,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

/// Serves until killed.
pub(crate) async fn serve(upstream: &str) -> Outcome {
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let relay = Relay {
        client: Client::builder().no_proxy().tcp_nodelay(true).build()?,
        url: format!("http://{upstream}/v1/chat/completions"),
    };
    let listener = listen().await?;
    let app = Router::new()
        .route("/chat", post(chat))
        // The server's own path, so that clients need not tell them apart.
        .route("/graphql", post(stream))
        .with_state(Arc::new(relay));
    Ok(axum::serve(listener, app).await?)
}

async fn chat(
    State(relay): State<Arc<Relay>>,
    Json(ask): Json<Ask>,
) -> Result<Json<Value>, StatusCode> {
    let text = relay.ask(&ask.text).await;
    let text = text.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(Json(json!({ "text": text })))
}

/// Each token as an event, as soon as it is there.
async fn stream(
    State(relay): State<Arc<Relay>>,
    Json(ask): Json<Ask>,
) -> Result<Sse<impl Stream<Item = Outcome<Event>>>, StatusCode> {
    let response = relay.send(&ask.text).await;
    let mut response = response.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(Sse::new(async_stream::try_stream! {
        let mut tokens = Tokens::default();
        while let Some(bytes) = response.chunk().await? {
            for delta in tokens.read(&bytes)? {
                yield Event::default().json_data(json!({ "delta": delta }))?;
            }
        }
        yield Event::default().event("complete");
    }))
}

/// Reads a model's events, which may be cut anywhere.
#[derive(Default)]
struct Tokens {
    unread: Vec<u8>,
}

impl Tokens {
    fn read(&mut self, bytes: &[u8]) -> Outcome<Vec<String>> {
        self.unread.extend_from_slice(bytes);
        let mut tokens = Vec::new();
        while let Some(end) = memchr(b'\n', &self.unread) {
            let data = self.unread[..end].strip_prefix(b"data: ");
            if let Some(data) = data.filter(|data| *data != b"[DONE]") {
                let chunk: Chunk = serde_json::from_slice(data)?;
                let choice = chunk.choices.into_iter().next();
                let text = choice.and_then(|choice| choice.delta.content);
                tokens.extend(text.filter(|text| !text.is_empty()));
            }
            self.unread.drain(..=end);
        }
        Ok(tokens)
    }
}

impl Relay {
    async fn send(&self, text: &str) -> reqwest::Result<Response> {
        let body = json!({
            "model": "gpt-4.1-mini", "temperature": 0.3, "max_tokens": 1024,
            "stream": true, "stream_options": { "include_usage": true },
            "messages": [
                { "role": "system", "content": INSTRUCTIONS },
                { "role": "user", "content": text },
            ],
        });
        self.client.post(&self.url).json(&body).send().await
    }

    async fn ask(&self, text: &str) -> Outcome<String> {
        let mut response = self.send(text).await?;
        let (mut answer, mut tokens) = (String::new(), Tokens::default());
        while let Some(bytes) = response.chunk().await? {
            answer.extend(tokens.read(&bytes)?);
        }
        Ok(answer)
    }
}
