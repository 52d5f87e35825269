//! Reading of request bodies within limits of size and time.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::Transport;
use super::error::Refusal;
use super::in_flight::Held;

/// The number of bytes of a body that is too large that are read and discarded. Clients write
/// before they read, and closing a connection with unread bytes can lose the response.
const DRAINED_BYTES: usize = 32 * 1024 * 1024;

/// Reads a body and decompresses it; its bytes in memory are counted in `held`.
pub(super) async fn read(
    body: Body,
    headers: &HeaderMap,
    transport: &Transport,
    held: &mut Held,
) -> Result<Bytes, Refusal> {
    let coding = Coding::of(headers)?;
    let bytes = read_sent(body, transport, held).await?;
    match coding {
        Coding::Identity => Ok(bytes),
        Coding::Gzip => {
            // A body may have several members (RFC 1952, section 2.2).
            let mut decoder = GzipDecoder::new(&*bytes);
            decoder.multiple_members(true);
            decoded(decoder, bytes.len(), transport, held).await
        }
        Coding::Deflate => decoded(ZlibDecoder::new(&*bytes), bytes.len(), transport, held).await,
        Coding::Brotli => decoded(BrotliDecoder::new(&*bytes), bytes.len(), transport, held).await,
    }
}

/// The coding of a body (RFC 9110, section 8.4.1).
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(header::CONTENT_ENCODING);
        let value = value.map_or(&b""[..], |value| value.as_bytes());
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            b"br" => Ok(Self::Brotli),
            _ => Err(Refusal::UnsupportedCoding),
        }
    }
}

/// Decompresses up to one byte past the limit, so that the rest takes no memory.
async fn decoded(
    decoder: impl AsyncRead + Unpin,
    sent: usize,
    transport: &Transport,
    held: &mut Held,
) -> Result<Bytes, Refusal> {
    let limit = transport.body_limit;
    held.resize(sent + limit)?;
    let mut bytes = Vec::new();
    let mut decoder = decoder.take(limit as u64 + 1);
    let read = decoder.read_to_end(&mut bytes).await;
    if bytes.len() > limit {
        return Err(Refusal::TooLarge { limit });
    }
    read.map_err(|_| Refusal::BadRequest("the body cannot be decompressed".to_owned()))?;
    held.resize(bytes.len())?;
    Ok(bytes.into())
}

async fn read_sent(body: Body, transport: &Transport, held: &mut Held) -> Result<Bytes, Refusal> {
    let mut chunks = body.into_data_stream();
    let limit = transport.body_limit;
    let deadline = Instant::now() + transport.body_timeout;
    let read = timeout_at(deadline, collect(&mut chunks, limit, held)).await;
    let read = read.unwrap_or(Err(Refusal::TooSlow {
        limit_ms: transport.body_timeout.as_millis(),
    }));
    if matches!(read, Err(Refusal::TooLarge { .. } | Refusal::Full(_))) {
        // The bytes read so far are already dropped.
        drop(held.take());
        // The response is the same whether the rest arrives or not.
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
