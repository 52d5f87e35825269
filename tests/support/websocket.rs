//! A client of GraphQL over WebSocket that can also break the rules.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::wait::soon;

pub(crate) const PROTOCOL: &str = "graphql-transport-ws";
/// What clients spoke before.
pub(crate) const LEGACY: &str = "graphql-ws";

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

/// A frame of a client, masked with zeros, so that its payload can be read here.
pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
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

    /// A socket that is ready for operations; none when there is no server.
    pub(crate) async fn reach(address: &str) -> Option<Self> {
        let request = upgrade(address, Some(PROTOCOL), &[]);
        let (stream, _) = soon("a socket", connect_async(request)).await.ok()?;
        let mut socket = Self { stream };
        socket.say(&json!({ "type": "connection_init" })).await;
        let acknowledged = socket.hear().await? == json!({ "type": "connection_ack" });
        acknowledged.then_some(socket)
    }

    /// The next message of the protocol; none once the connection has ended, however it did.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Some(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            }
        };
        soon("a WebSocket message", next).await
    }

    /// A socket opened by hand, whatever the server thinks of the subprotocol.
    pub(crate) async fn speaking(address: &str, protocol: Option<&str>) -> Self {
        let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
        let request = format!(
            "GET /graphql HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            protocol.unwrap_or_default()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(soon("an answer", stream.read_u8()).await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        let stream = MaybeTlsStream::Plain(stream);
        let stream = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        Self { stream }
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

    /// Sends a frame of any kind.
    pub(crate) async fn send_frame(&mut self, frame: Message) {
        let _ = self.stream.send(frame).await;
    }

    /// Sends bytes that need not be a frame.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes).await;
    }

    /// Says that it closes, as clients should.
    pub(crate) async fn close(&mut self) {
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        self.stream.close(Some(frame)).await.unwrap();
    }

    /// All bytes that come until the server closes, read without an answer to any of them.
    pub(crate) async fn bytes(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.stream.get_mut().read_to_end(&mut bytes);
        soon("the end of the connection", read).await.unwrap();
        bytes
    }

    /// Waits until nothing more can be read, whatever still comes.
    pub(crate) async fn is_over(&mut self) -> bool {
        let over = async { while let Some(Ok(_)) = self.stream.next().await {} };
        soon("the socket's end", over).await;
        true
    }

    /// The next message of the protocol.
    pub(crate) async fn message(&mut self) -> Value {
        match self.frame().await {
            Ok(message) => message,
            Err(close) => panic!("closed: {close:?}"),
        }
    }

    /// The next message of the protocol, or the code with which the server closes.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        self.frame().await.map_err(|frame| frame.code.into())
    }

    /// The code with which the server closes, after which it says nothing.
    pub(crate) async fn closed(self) -> u16 {
        self.closed_with().await.0
    }

    /// The code and the reason with which the server closes.
    pub(crate) async fn closed_with(mut self) -> (u16, String) {
        match self.frame().await {
            Ok(message) => panic!("not closed but {message}"),
            Err(frame) => (frame.code.into(), frame.reason.to_string()),
        }
    }

    /// Waits for a ping frame of the server, which is answered on the way; messages before
    /// it are passed over.
    pub(crate) async fn pinged(&mut self) {
        let ping = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Ping(_))) => return,
                    Some(Ok(Message::Text(_))) => {}
                    other => panic!("no ping: {other:?}"),
                }
            }
        };
        soon("a ping", ping).await;
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

    /// The next message, or the frame with which the server closes. Its pings do not make
    /// the wait longer.
    pub(crate) async fn frame(&mut self) -> Result<Value, CloseFrame> {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Ok(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(Some(frame)))) => return Err(frame),
                    other => panic!("neither a message nor a close frame: {other:?}"),
                }
            }
        };
        soon("a WebSocket message", next).await
    }
}
