//! A reader of graphql-sse in the distinct connections mode.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;

use super::wait::soon;

type Bytes = Result<bytes::Bytes, reqwest::Error>;

/// One event as it was written.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// A response.
    Next(Value),
    /// The operation has ended.
    Complete,
    /// A comment: hello or keep-alive.
    Comment,
}

/// An event stream. Dropping it closes the connection.
pub(crate) struct Events {
    /// The response's headers.
    pub(crate) headers: reqwest::header::HeaderMap,
    /// The `id` of the last frame, if it had one.
    pub(crate) id: Option<u64>,
    body: BoxStream<'static, Bytes>,
    /// Bytes, because a piece may end in the middle of a character.
    unread: Vec<u8>,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            headers: response.headers().clone(),
            id: None,
            body: response.bytes_stream().boxed(),
            unread: Vec::new(),
        }
    }

    /// The next frame; none when the stream has ended.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
                let (id, frame) = parse(std::str::from_utf8(&self.unread[..end]).unwrap());
                self.id = id;
                self.unread.drain(..end + 2);
                return Some(frame);
            }
            let piece = soon("a piece of the event stream", self.body.next()).await?;
            // Whether the server ends the body well or just goes, the stream has ended.
            let piece = piece.ok()?;
            self.unread.extend_from_slice(&piece);
        }
    }

    /// The next response; none after `complete`. Keep-alives do not make the wait longer.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.frame().await {
                    Some(Frame::Next(response)) => return Some(response),
                    Some(Frame::Comment) => {}
                    Some(Frame::Complete) => return None,
                    None => panic!("the stream ended without `complete`"),
                }
            }
        };
        soon("the next event of the stream", next).await
    }

    /// All responses that are left.
    pub(crate) async fn rest(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(response) = self.next().await {
            all.push(response);
        }
        all
    }
}

/// A frame with its `id`.
fn parse(frame: &str) -> (Option<u64>, Frame) {
    let mut lines = frame.lines().peekable();
    match lines.next() {
        Some("event: next") => {
            let id = lines.peek().and_then(|line| line.strip_prefix("id: "));
            let id = id.map(|id| id.parse().unwrap());
            let data = lines.nth(usize::from(id.is_some())).unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            assert_eq!(lines.next(), None, "one line of data: {frame}");
            (id, Frame::Next(serde_json::from_str(data).unwrap()))
        }
        Some("event: complete") => {
            assert_eq!(frame, "event: complete\ndata:");
            (None, Frame::Complete)
        }
        Some(line) if line.starts_with(':') => (None, Frame::Comment),
        _ => panic!("no event of the protocol: {frame:?}"),
    }
}
