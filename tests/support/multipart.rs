//! A reader of Apollo's multipart subscriptions, as strict as its strictest client.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};

use super::wait::soon;

const DELIMITER: &str = "\r\n--graphql";
const HEADERS: &str = "\r\ncontent-type: application/json\r\n\r\n";

type Bytes = Result<bytes::Bytes, reqwest::Error>;

/// One part as it was written.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// A response.
    Payload(Value),
    /// Errors of the transport.
    Failed(Value),
    /// Nothing yet.
    Heartbeat,
}

/// A multipart response. Dropping it closes the connection.
pub(crate) struct Parts {
    /// The response's headers.
    pub(crate) headers: reqwest::header::HeaderMap,
    body: BoxStream<'static, Bytes>,
    unread: String,
    has_begun: bool,
}

impl Parts {
    pub(super) fn new(response: reqwest::Response) -> Self {
        Self {
            headers: response.headers().clone(),
            body: response.bytes_stream().boxed(),
            unread: String::new(),
            has_begun: false,
        }
    }

    /// The next part, as soon as it is whole; none after the last.
    pub(crate) async fn part(&mut self) -> Option<Part> {
        loop {
            if self.has_begun && self.unread.starts_with("--") {
                self.check_end().await;
                return None;
            }
            if let Some((part, rest)) = self.unread.split_once(DELIMITER) {
                let part = part.to_owned();
                self.unread = rest.to_owned();
                if self.has_begun {
                    return Some(parse(&part));
                }
                assert_eq!(part, "", "nothing before the first delimiter");
                self.has_begun = true;
                continue;
            }
            let piece = soon("a piece of the multipart body", self.body.next()).await;
            let piece = piece.expect("an end of the body").unwrap();
            self.unread += std::str::from_utf8(&piece).unwrap();
        }
    }

    /// The next response; none after the last. Heartbeats do not make the wait longer.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.part().await? {
                    Part::Payload(response) => return Some(response),
                    Part::Heartbeat => {}
                    Part::Failed(errors) => panic!("{errors}"),
                }
            }
        };
        soon("the next part", next).await
    }

    /// All responses that are left.
    pub(crate) async fn rest(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(response) = self.next().await {
            all.push(response);
        }
        all
    }

    async fn check_end(&mut self) {
        while let Some(piece) = soon("the end of the body", self.body.next()).await {
            self.unread += std::str::from_utf8(&piece.unwrap()).unwrap();
        }
        assert_eq!(self.unread, "--\r\n");
    }
}

fn parse(part: &str) -> Part {
    let body = part.strip_prefix(HEADERS).unwrap();
    let mut body: Value = serde_json::from_str(body).unwrap();
    match body.as_object().unwrap().len() {
        0 => Part::Heartbeat,
        1 => Part::Payload(body["payload"].take()),
        _ => {
            assert_eq!(body["payload"], json!(null));
            Part::Failed(body["errors"].take())
        }
    }
}
