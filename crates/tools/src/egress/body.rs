//! Response bodies, read up to their limits.

use std::borrow::Cow;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::charset;
use super::client::into_tool_error;
use crate::ToolError;

/// Bounds of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// The most that is read, in bytes as they are sent.
    pub(crate) bytes: usize,
    /// The most that is kept, in bytes after decompression.
    pub(crate) decoded_bytes: usize,
}

/// A body, decompressed.
pub(crate) struct Body {
    bytes: Vec<u8>,
    /// Its media type, in lower case; that of text when it has none.
    pub(crate) content_type: String,
    /// True if the body exceeded the limits.
    pub(crate) cut: bool,
}

impl Body {
    /// The encodings that the client can read.
    pub(crate) const ACCEPT_ENCODING: &str = "gzip, deflate, br";

    /// Reads a response's body up to the limits.
    pub(crate) async fn read(
        mut response: Response,
        limits: BodyLimits,
    ) -> Result<Self, ToolError> {
        let coding = coding(response.headers())?;
        let content_type = content_type(&response);
        let mut bytes = Vec::new();
        let mut cut = false;
        while let Some(chunk) = response.chunk().await.map_err(into_tool_error)? {
            let room = limits.bytes - bytes.len();
            cut = chunk.len() > room;
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if cut {
                break;
            }
        }
        let most = limits.decoded_bytes;
        let sent = bytes.as_slice();
        let decoded = match coding {
            Coding::Identity => Decoded::of_plain(bytes, most),
            Coding::Gzip => Decoded::read(GzipDecoder::new(sent), most).await,
            Coding::Deflate => Decoded::read(ZlibDecoder::new(sent), most).await,
            Coding::Brotli => Decoded::read(BrotliDecoder::new(sent), most).await,
        };
        // A stream that was cut cannot be decoded to its end.
        if decoded.broken && !cut {
            let why = "the response's body cannot be decompressed";
            return Err(ToolError::Failed(why.to_owned()));
        }
        Ok(Self {
            bytes: decoded.bytes,
            content_type,
            cut: cut || decoded.cut,
        })
    }

    /// The raw bytes of the body.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The body as text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        charset::decode(&self.bytes, &self.content_type)
    }
}

/// The media type of a response, in lower case; that of text when it has none.
pub(crate) fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    value.unwrap_or("text/plain").to_ascii_lowercase()
}

enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
}

fn coding(headers: &HeaderMap) -> Result<Coding, ToolError> {
    let value = headers.get(CONTENT_ENCODING);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    match value.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        "br" => Ok(Coding::Brotli),
        _ => Err(ToolError::Failed(
            "the response's body is compressed in a way that is not known".to_owned(),
        )),
    }
}

struct Decoded {
    bytes: Vec<u8>,
    cut: bool,
    broken: bool,
}

impl Decoded {
    fn of_plain(mut bytes: Vec<u8>, most: usize) -> Self {
        let cut = bytes.len() > most;
        bytes.truncate(most);
        Self {
            bytes,
            cut,
            broken: false,
        }
    }

    /// Decompresses at most one byte more than `most`, however large the rest would become.
    async fn read(decoder: impl AsyncRead + Unpin, most: usize) -> Self {
        let mut bytes = Vec::new();
        let mut decoder = decoder.take(most as u64 + 1);
        let broken = decoder.read_to_end(&mut bytes).await.is_err();
        Self {
            broken,
            ..Self::of_plain(bytes, most)
        }
    }
}
