//! A subscription over either transport, whose server may be gone at any moment.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::sse::{Events, Frame};
use crate::support::wait::soon;
use crate::support::websocket::Socket;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Sse,
    Socket,
}

/// An open subscription.
pub(crate) enum Feed {
    Sse(Box<Events>),
    Socket(Box<Socket>),
}

/// What comes from a subscription.
pub(crate) enum Heard {
    Response(Value),
    /// The operation has ended.
    Complete,
    /// The connection has ended before the operation.
    Gone,
}

impl Feed {
    /// Subscribes; none when the server is not there or does not want to.
    pub(crate) async fn open(
        client: &Client,
        transport: Transport,
        document: &str,
        variables: &Value,
    ) -> Option<Self> {
        match transport {
            Transport::Sse => {
                let request = client
                    .post(document, variables)
                    .header("accept", "text/event-stream");
                let response = soon("an event stream", request.send()).await.ok()?;
                match response.status().as_u16() {
                    200 => Some(Self::Sse(Box::new(Events::new(response)))),
                    503 => None,
                    status => panic!("{status}: {}", response.text().await.unwrap_or_default()),
                }
            }
            Transport::Socket => {
                let mut socket = Socket::reach(client.address()).await?;
                socket.subscribe("1", document, variables).await;
                Some(Self::Socket(Box::new(socket)))
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Heard {
        match self {
            Self::Sse(events) => loop {
                match events.frame().await {
                    Some(Frame::Next(response)) => return Heard::Response(response),
                    Some(Frame::Complete) => return Heard::Complete,
                    Some(Frame::Comment) => {}
                    None => return Heard::Gone,
                }
            },
            Self::Socket(socket) => {
                let Some(mut message) = socket.hear().await else {
                    return Heard::Gone;
                };
                let payload = message["payload"].take();
                match message["type"].as_str() {
                    Some("next") => Heard::Response(payload),
                    Some("error") => Heard::Response(json!({ "errors": payload })),
                    Some("complete") => Heard::Complete,
                    _ => panic!("{message}"),
                }
            }
        }
    }
}
