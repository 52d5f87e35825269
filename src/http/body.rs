//! Reading a request's body within its size and time.

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::StreamExt;

use super::Transport;
use super::error::Refusal;

/// How much of a body that is too large is read and thrown away. Clients write before they
/// read, and a connection closed on what they write can take the answer with it.
const DRAINED_BYTES: usize = 32 * 1024 * 1024;

pub(super) async fn read(body: Body, transport: &Transport) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let limit = transport.body_limit;
    let read = tokio::time::timeout(transport.body_timeout, async {
        let body = collect(&mut chunks, limit).await;
        if matches!(body, Err(Refusal::TooLarge { .. })) {
            drain(&mut chunks).await;
        }
        body
    });
    read.await.unwrap_or(Err(Refusal::TooSlow {
        limit_ms: transport.body_timeout.as_millis(),
    }))
}

async fn collect(chunks: &mut BodyDataStream, limit: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let unreadable = |_| Refusal::BadRequest("the body could not be read".to_owned());
        let chunk = chunk.map_err(unreadable)?;
        if first.len() + whole.len() + chunk.len() > limit {
            return Err(Refusal::TooLarge { limit });
        }
        // Most bodies are one chunk, which needs no copy.
        if first.is_empty() && whole.is_empty() {
            first = chunk;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&chunk);
    }
    Ok(match first.is_empty() {
        true => whole.into(),
        false => first,
    })
}

async fn drain(chunks: &mut BodyDataStream) {
    let mut drained = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        drained += chunk.len();
        if drained > DRAINED_BYTES {
            return;
        }
    }
}
