//! A client of `graphql-transport-ws` that can also break its rules.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::wait::soon;

pub(crate) const PROTOCOL: &str = "graphql-transport-ws";

/// A socket. Dropping it closes the connection without a word.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// An upgrade request with a subprotocol and further headers.
pub(crate) fn upgrade(
    address: &str,
    protocol: Option<&str>,
    headers: &[(&'static str, &str)],
) -> Request<()> {
    let mut request = format!("ws://{address}/graphql")
        .into_client_request()
        .unwrap();
    let protocol = protocol.map(|protocol| ("sec-websocket-protocol", protocol));
    for (name, value) in protocol.iter().chain(headers) {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

impl Socket {
    /// A socket on which nothing was said.
    pub(crate) async fn connect(address: &str) -> Self {
        Self::open(upgrade(address, Some(PROTOCOL), &[]))
            .await
            .unwrap()
    }

    /// Sends an upgrade request; the status and body of the answer if it is refused.
    pub(crate) async fn open(request: Request<()>) -> Result<Self, (u16, String)> {
        match soon("a socket", connect_async(request)).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => {
                let status = response.status().as_u16();
                let body = response.into_body().unwrap_or_default();
                Err((status, String::from_utf8(body).unwrap()))
            }
            Err(error) => panic!("no answer to the upgrade request: {error}"),
        }
    }

    /// `connection_init`, with a key or without, and its acknowledgement.
    pub(crate) async fn init(&mut self, key: Option<&str>) {
        let payload = key.map(|key| json!({ "Authorization": format!("Bearer {key}") }));
        self.say(&json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(self.message().await, json!({ "type": "connection_ack" }));
    }

    /// Begins an operation.
    pub(crate) async fn subscribe(&mut self, id: &str, document: &str, variables: &Value) {
        let payload = json!({ "query": document, "variables": variables });
        self.say(&json!({ "type": "subscribe", "id": id, "payload": payload }))
            .await;
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.send(message.to_string()).await;
    }

    /// Sends a text frame.
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        let frame = Message::text(text.into());
        // Refused only by a server that has closed, which is then read.
        let _ = self.stream.send(frame).await;
    }

    /// The next message of the protocol.
    pub(crate) async fn message(&mut self) -> Value {
        match self.frame().await {
            Ok(message) => message,
            Err(close) => panic!("closed with {close:?}"),
        }
    }

    /// The next message of the protocol, or the code with which the server closes.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        self.frame().await
    }

    /// The code with which the server closes, after which it says nothing.
    pub(crate) async fn closed(mut self) -> u16 {
        match self.frame().await {
            Ok(message) => panic!("not closed but {message}"),
            Err(code) => code,
        }
    }

    /// Whether there is a message at hand, without waiting for one.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        // A round trip: whatever the server had to say before comes before the pong.
        self.say(&json!({ "type": "ping", "payload": { "quiet": true } }))
            .await;
        self.message().await == json!({ "type": "pong", "payload": { "quiet": true } })
    }

    /// The payloads of an operation until it completes; other operations must be quiet.
    pub(crate) async fn rest(&mut self, id: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let mut message = self.message().await;
            assert_eq!(message["id"], id, "{message}");
            match message["type"].as_str() {
                Some("next") => all.push(message["payload"].take()),
                Some("complete") => return all,
                _ => panic!("{message}"),
            }
        }
    }

    /// The next message, or the code with which the server closes. Its pings do not make the
    /// wait longer.
    async fn frame(&mut self) -> Result<Value, u16> {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Ok(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                    other => panic!("neither a message nor a close frame: {other:?}"),
                }
            }
        };
        soon("a WebSocket message", next).await
    }
}
