//! The HTTP/1.1 encoding of a streaming response.

use std::io::{self, Write};
use std::time::SystemTime;

use axum::body::Body;
use axum::http::response::Parts;
use axum::response::Response;
use bytes::Buf;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::http::io::Io;

/// The end of a chunk.
const CHUNK_END: &[u8] = b"\r\n";

/// The end of the last chunk: an empty chunk without trailers.
const END: &[u8] = b"0\r\n\r\n";

/// A response that is not yet written.
pub(super) struct Streaming {
    head: Vec<u8>,
    body: Body,
}

impl Streaming {
    /// Prepares a response. `is_last` announces that the connection closes with it.
    pub(super) fn new(response: Response, is_last: bool) -> io::Result<Self> {
        let (parts, body) = response.into_parts();
        let head = head(&parts, is_last)?;
        Ok(Self { head, body })
    }
}

/// Writes a response in the chunked transfer coding (RFC 9112, section 7.1), each chunk as soon as
/// it is ready. Fails when the client disconnects.
pub(super) async fn write(io: &mut Io, streaming: Streaming) -> io::Result<()> {
    let mut pieces = streaming.body.into_data_stream();
    // The head is sent together with the first chunk.
    let mut before = streaming.head;
    loop {
        let piece = tokio::select! {
            biased;
            piece = pieces.next() => piece,
            gone = io.gone() => return Err(gone),
        };
        match piece.transpose().map_err(io::Error::other)? {
            // An empty chunk would be the last one.
            Some(piece) if piece.is_empty() => {}
            Some(piece) => {
                write!(before, "{:x}\r\n", piece.len())?;
                let mut chunk = before.as_slice().chain(piece).chain(CHUNK_END);
                io.write_all_buf(&mut chunk).await?;
                before = Vec::new();
            }
            None => return io.write_all_buf(&mut before.as_slice().chain(END)).await,
        }
    }
}

/// Encodes the status line and the headers. hyper adds the same two to such a response.
fn head(parts: &Parts, is_last: bool) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {}\r\n", parts.status)?;
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    if is_last {
        head.extend_from_slice(b"connection: close\r\n");
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    write!(head, "transfer-encoding: chunked\r\ndate: {date}\r\n\r\n")?;
    Ok(head)
}
