//! The connection below a socket. It counts the bytes of a partial message, so that a message that
//! is too large is refused before it takes memory.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::http::in_flight::{Full, Held, InFlight};

/// The size of one read, in bytes: enough for most operations. Each socket keeps a buffer of this
/// size, resident because it is zeroed for each read.
const READ_BUFFER: usize = 2 * 1024;

/// The maximum size of a message before `connection_ack`, in bytes.
pub(super) const INIT_BYTES: usize = 16 * 1024;

/// The maximum payload of one written frame, in bytes. Longer messages are split into several
/// frames, so that the write buffer stays small.
pub(super) const FRAME_BYTES: usize = 16 * 1024;

/// The maximum number of bytes that wait in a socket for a client that does not read: one frame,
/// the output collected before it and the answers to pings.
const WRITE_BUFFER_MOST: usize = 3 * FRAME_BYTES;

/// Opcode, length and mask of a short frame, in bytes.
const SHORT_HEADER: usize = 6;

/// A socket.
pub(super) type Socket = WebSocketStream<Metered>;

/// A connection that fails after a message that is too large.
pub(super) struct Metered {
    io: TokioIo<Upgraded>,
    meter: Arc<Meter>,
}

/// Counts the bytes of the message that is being read.
pub(super) struct Meter {
    read: AtomicUsize,
    limit: AtomicUsize,
    held: Mutex<Held>,
}

/// The reason for which a message is not read completely.
#[derive(Debug, Error)]
pub(super) enum Unread {
    /// The message exceeds the limit, an error of the client.
    #[error("message larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error(transparent)]
    Full(#[from] Full),
}

/// The tenant name under which bytes of unauthenticated callers are counted. No tenant has an empty
/// name.
pub(super) fn no_tenant() -> Arc<str> {
    "".into()
}

/// Starts WebSocket on an upgraded connection. Messages are limited to [`INIT_BYTES`] until the
/// meter's limit is raised, and to `most` bytes then.
pub(super) async fn open(
    upgraded: Upgraded,
    most: usize,
    in_flight: &Arc<InFlight>,
) -> (Socket, Arc<Meter>) {
    let meter = Arc::new(Meter {
        read: AtomicUsize::new(0),
        limit: AtomicUsize::new(INIT_BYTES.min(most)),
        held: Mutex::new(in_flight.hold(no_tenant())),
    });
    let io = Metered {
        io: TokioIo::new(upgraded),
        meter: Arc::clone(&meter),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(FRAME_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_MOST)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    (socket, meter)
}

impl Meter {
    /// Returns the maximum size of a message, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Raises the limit from the next message on, and counts messages as the tenant's.
    pub(super) fn raise(&self, limit: usize, tenant: Arc<str>) {
        self.limit.store(limit, Ordering::Relaxed);
        self.held().assign(tenant);
    }

    /// Ends a complete message. Its bytes are counted while the result is held.
    pub(super) fn message(&self) -> Held {
        self.read.store(0, Ordering::Relaxed);
        self.held().take()
    }

    /// Subtracts a ping or pong of so many bytes, possibly between the frames of a message.
    pub(super) fn control(&self, bytes: usize) {
        let read = self.read.load(Ordering::Relaxed);
        let rest = read.saturating_sub(SHORT_HEADER + bytes);
        self.read.store(rest, Ordering::Relaxed);
        // Fewer bytes always fit.
        let _ = self.held().resize(counted(rest));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: usize) -> Result<(), Unread> {
        let read = self.read.load(Ordering::Relaxed) + bytes;
        self.read.store(read, Ordering::Relaxed);
        let limit = self.limit();
        // One read may contain the end of one message and the beginning of the next.
        if read > limit + 2 * READ_BUFFER {
            return Err(Unread::TooLarge { limit });
        }
        Ok(self.held().resize(counted(read))?)
    }
}

/// Returns the part of `read` bytes that counts as in flight: none that fits a socket's buffer.
fn counted(read: usize) -> usize {
    match read > 2 * READ_BUFFER {
        true => read,
        false => 0,
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, into))?;
        let read = into.filled().len() - before;
        Poll::Ready(self.meter.add(read).map_err(io::Error::other))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
