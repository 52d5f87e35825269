//! One HTTP/1.1 connection, spoken by hand: what a test does on it cannot move to another.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::wait::soon;

/// A connection to a server.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// A whole response.
pub(crate) struct Answer {
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Self {
        let stream = soon("a connection", TcpStream::connect(address)).await;
        Self {
            stream: BufReader::new(stream.unwrap()),
        }
    }

    /// Posts an operation and reads its response to the end.
    pub(crate) async fn post(&mut self, accept: &str, document: &str, variables: &Value) -> Answer {
        self.send(&post("HTTP/1.1", accept, document, variables))
            .await;
        self.answer().await
    }

    pub(crate) async fn send(&mut self, requests: &str) {
        self.stream.write_all(requests.as_bytes()).await.unwrap();
    }

    /// The next response, whole.
    pub(crate) async fn answer(&mut self) -> Answer {
        soon("a response", self.read()).await
    }

    /// What comes until the server ends the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        let read = self.stream.read_to_string(&mut rest);
        soon("the connection's end", read).await.unwrap();
        rest
    }

    async fn read(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        let length = head.split_once("content-length: ");
        let mut body = Vec::new();
        match length.and_then(|(_, rest)| rest.split_once("\r\n")) {
            Some((length, _)) => self.piece(length.parse().unwrap(), &mut body).await,
            None => loop {
                let mut size = String::new();
                self.stream.read_line(&mut size).await.unwrap();
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                self.piece(size, &mut body).await;
                self.piece(2, &mut Vec::new()).await;
                if size == 0 {
                    break;
                }
            },
        }
        let body = String::from_utf8(body).unwrap();
        Answer { head, body }
    }

    async fn piece(&mut self, length: usize, to: &mut Vec<u8>) {
        let start = to.len();
        to.resize(start + length, 0);
        self.stream.read_exact(&mut to[start..]).await.unwrap();
    }
}

/// An operation as a request. More headers can stand behind the version.
pub(crate) fn post(version: &str, accept: &str, document: &str, variables: &Value) -> String {
    let body = json!({ "query": document, "variables": variables }).to_string();
    format!(
        "POST /graphql {version}\r\nhost: localhost\r\naccept: {accept}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
