//! Decompression of bodies that some proxies compress although the client did not request it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder};
use bytes::{Buf, Bytes};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};

/// The maximum size of a decompressed body, as a multiple of the largest event.
const DECODED_EVENTS: u64 = 64;
/// The size of the buffer for decompression, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// A body's bytes.
pub(super) type Body = BoxStream<'static, io::Result<Bytes>>;

/// The decompressed body of a response, cut after 64 events of the largest size.
pub(super) fn body(response: Response, max_event_bytes: usize) -> Body {
    let coding = response.headers().get(CONTENT_ENCODING);
    let coding = coding.and_then(|coding| coding.to_str().ok());
    let coding = coding.unwrap_or_default().trim().to_ascii_lowercase();
    let sent = response.bytes_stream().map_err(io::Error::other).boxed();
    let most = DECODED_EVENTS.saturating_mul(max_event_bytes as u64);
    match &*coding {
        "" | "identity" => sent,
        "gzip" | "x-gzip" => decoded(multi(GzipDecoder::new(read(sent))), most),
        "deflate" => decoded(ZlibDecoder::new(read(sent)), most),
        "br" => decoded(BrotliDecoder::new(read(sent)), most),
        _ => {
            let error = io::Error::other("its content encoding is not known");
            stream::once(async { Err(error) }).boxed()
        }
    }
}

fn read(sent: Body) -> Sent {
    let rest = Bytes::new();
    Sent { sent, rest }
}

/// A body in the form that the decoders read.
struct Sent {
    sent: Body,
    rest: Bytes,
}

impl AsyncBufRead for Sent {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.sent.poll_next_unpin(cx)).transpose()? {
                Some(bytes) => this.rest = bytes,
                None => break,
            }
        }
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let this = self.get_mut();
        this.rest.advance(amount.min(this.rest.len()));
    }
}

impl AsyncRead for Sent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..len]);
        self.consume(len);
        Poll::Ready(Ok(()))
    }
}

/// Some servers compress each event as a member of its own.
fn multi<R: AsyncBufRead>(mut decoder: GzipDecoder<R>) -> GzipDecoder<R> {
    decoder.multiple_members(true);
    decoder
}

fn decoded(decoder: impl AsyncRead + Send + Unpin + 'static, most: u64) -> Body {
    let pieces = stream::try_unfold(decoder.take(most), |mut decoder| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let len = decoder.read_buf(&mut piece).await?;
        Ok((len > 0).then(|| (Bytes::from(piece), decoder)))
    });
    pieces.boxed()
}
