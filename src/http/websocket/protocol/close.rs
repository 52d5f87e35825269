//! Close codes of sockets, from the protocols and from RFC 6455.

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::super::wire::Unread;
use crate::auth::AuthError;

/// The reason for which the server closes a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Close {
    BadRequest(String),
    Unauthorized,
    KeyRemoved,
    Forbidden(String),
    NoProtocol,
    InitTimeout,
    DuplicateOperation(String),
    TooManyInits,
    TooManySockets { limit: usize },
    NotUtf8,
    TooLarge { limit: usize },
    AgainstWebSocket(String),
    Full,
    GoingAway,
    Stalled,
    Asked,
}

impl Close {
    /// Returns the close reason of a read error; `None` if the client has disconnected. `limit` is
    /// the maximum size of a message, in bytes.
    pub(in super::super) fn of(error: Error, limit: usize) -> Option<Self> {
        match error {
            Error::Utf8(_) => Some(Self::NotUtf8),
            Error::Capacity(_) => Some(Self::TooLarge { limit }),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            Error::Protocol(what) => Some(Self::AgainstWebSocket(what.to_string())),
            Error::Io(error) => Some(match error.get_ref()?.downcast_ref::<Unread>()? {
                Unread::TooLarge { limit } => Self::TooLarge { limit: *limit },
                Unread::Full(_) => Self::Full,
            }),
            _ => None,
        }
    }

    /// Returns true for an invalid frame, after which nothing can be read.
    pub(in super::super) fn is_of_a_broken_frame(&self) -> bool {
        matches!(
            self,
            Self::NotUtf8 | Self::TooLarge { .. } | Self::Full | Self::AgainstWebSocket(_)
        )
    }

    pub(in super::super) fn frame(&self) -> CloseFrame {
        CloseFrame {
            code: self.code().into(),
            reason: shortened(self.reason()).into(),
        }
    }

    fn code(&self) -> u16 {
        match self {
            Self::Asked => 1000,
            Self::AgainstWebSocket(_) => 1002,
            Self::NotUtf8 => 1007,
            Self::Stalled => 1008,
            Self::TooLarge { .. } => 1009,
            // Service restart: reconnect and resume from the last sequence.
            Self::GoingAway => 1012,
            // Retry later.
            Self::TooManySockets { .. } | Self::Full => 1013,
            Self::BadRequest(_) => 4400,
            Self::Unauthorized | Self::KeyRemoved => 4401,
            Self::Forbidden(_) => 4403,
            Self::NoProtocol => 4406,
            Self::InitTimeout => 4408,
            Self::DuplicateOperation(_) => 4409,
            Self::TooManyInits => 4429,
        }
    }

    pub(in super::super) fn reason(&self) -> String {
        match self {
            Self::BadRequest(why) | Self::Forbidden(why) => why.clone(),
            Self::Unauthorized => "Unauthorized".to_owned(),
            Self::KeyRemoved => AuthError::Removed.to_string(),
            Self::NoProtocol => "Subprotocol not acceptable".to_owned(),
            Self::InitTimeout => "Connection initialisation timeout".to_owned(),
            Self::DuplicateOperation(id) => format!("Subscriber for {id} already exists"),
            Self::TooManyInits => "Too many initialisation requests".to_owned(),
            Self::TooManySockets { limit } => {
                format!("Too many sockets: {limit} for each caller (http.websocket_connections)")
            }
            Self::Full => "Too many bytes in flight (http.in_flight_bytes); retry later".to_owned(),
            Self::NotUtf8 => "Text must be UTF-8".to_owned(),
            Self::TooLarge { limit } => format!("Message larger than {limit} bytes"),
            Self::AgainstWebSocket(what) => what.clone(),
            Self::GoingAway => "Server is stopping".to_owned(),
            Self::Stalled => "Pings unanswered or events unread for too long".to_owned(),
            Self::Asked => String::new(),
        }
    }
}

/// Cuts a close reason to 123 bytes (RFC 6455, section 5.5).
fn shortened(mut reason: String) -> String {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}
