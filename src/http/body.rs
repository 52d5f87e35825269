//! Reading a request's body within its size and time.

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::Transport;
use super::error::Refusal;
use super::in_flight::Held;

/// How much of a body that is too large is read and thrown away. Clients write before they
/// read, and a connection closed on what they write can take the answer with it.
const DRAINED_BYTES: usize = 32 * 1024 * 1024;

/// Reads a body; what is in memory of it is counted in `held`.
pub(super) async fn read(
    body: Body,
    transport: &Transport,
    held: &mut Held,
) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let limit = transport.body_limit;
    let deadline = Instant::now() + transport.body_timeout;
    let read = timeout_at(deadline, collect(&mut chunks, limit, held)).await;
    let read = read.unwrap_or(Err(Refusal::TooSlow {
        limit_ms: transport.body_timeout.as_millis(),
    }));
    if matches!(read, Err(Refusal::TooLarge { .. } | Refusal::Full(_))) {
        // What was read is dropped already.
        drop(held.take());
        // Whether all of it comes or not, the answer is the same.
        let _ = timeout_at(deadline, drain(&mut chunks)).await;
    }
    read
}

async fn collect(
    chunks: &mut BodyDataStream,
    limit: usize,
    held: &mut Held,
) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let unreadable = |_| Refusal::BadRequest("the body could not be read".to_owned());
        let chunk = chunk.map_err(unreadable)?;
        let length = first.len() + whole.len() + chunk.len();
        if length > limit {
            return Err(Refusal::TooLarge { limit });
        }
        held.resize(length)?;
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
