//! Connections: how many there are, and how long one may take to say what it wants.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::{BoxError, Router};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::http1::Http1;
use super::io::Io;
use talkgraph_watchdog::{Task, watched};

/// Bounds of the listener.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// How many there may be; more wait to be accepted.
    pub most: usize,
    /// How long one may take to send the head of a request, or be idle between two.
    pub head_timeout: Duration,
    /// The largest head of a request, in bytes.
    pub head_bytes: u32,
    /// How long one may take none of what is written to it.
    pub write_timeout: Duration,
}

/// How long accepting rests after an error such as too many open files, which another
/// attempt at once would only meet again.
const REST: Duration = Duration::from_millis(100);

/// What HTTP/2 begins with (RFC 9113, section 3.4), as far as no method of HTTP/1 does.
const PREFACE: [u8; 3] = *b"PRI";

/// The number of concurrent requests on one connection of HTTP/2.
const STREAMS: u32 = 128;

/// The number of bytes of a response that are kept for a client of HTTP/2 that takes no more, in
/// addition to the piece that was given last.
const SEND_BUFFER: usize = 64 * 1024;

/// The number of streams of HTTP/2 that may end in a client's error before their connection does.
const RESETS: usize = 128;

/// Accepts connections until `closing`, then lets those there are finish what they do.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Connections,
    closing: CancellationToken,
) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(limits.most));
    let protocols = Arc::new(Protocols::new(limits));
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&listener, &places) => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(REST).await;
                    continue;
                }
            },
            () = closing.cancelled() => break,
        };
        let (router, protocols) = (router.clone(), Arc::clone(&protocols));
        let closing = closing.clone();
        connections.spawn(watched(Task::only("a connection"), async move {
            protocols.serve(stream, router, &closing).await;
            drop(place);
        }));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// A connection; it fails when nothing of what is written to it is taken for too long. In a
/// box, because that clock stays where it is.
pub(super) type Stream = Pin<Box<TimeoutWriter<TcpStream>>>;

/// The versions of HTTP.
struct Protocols {
    http1: Http1,
    http2: http2::Builder<TokioExecutor>,
    limits: Connections,
}

enum Version {
    Http1,
    Http2,
}

impl Protocols {
    fn new(limits: Connections) -> Self {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(limits.head_bytes)
            .max_concurrent_streams(STREAMS)
            .max_send_buf_size(SEND_BUFFER)
            .max_local_error_reset_streams(RESETS)
            .keep_alive_interval(limits.head_timeout);
        let head_bytes = usize::try_from(limits.head_bytes).unwrap_or(usize::MAX);
        Self {
            http1: Http1::new(limits.head_timeout, head_bytes),
            http2,
            limits,
        }
    }

    async fn serve(&self, mut stream: TcpStream, router: Router, closing: &CancellationToken) {
        // Tokens are small writes that must leave at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let version = tokio::select! {
            // Until it tells its version no other clock runs …
            version = timeout(self.limits.head_timeout, version(&mut stream)) => version,
            () = closing.cancelled() => return,
        };
        // A client that reads nothing would otherwise stay until TCP gives up.
        let mut stream = Box::pin(TimeoutWriter::new(stream));
        let write_timeout = Some(self.limits.write_timeout);
        stream.as_mut().set_timeout_pinned(write_timeout);
        let Ok(Ok((version, start))) = version else {
            // Too late, or gone already.
            return;
        };
        let io = Io::new(stream, start);
        let ended = match version {
            Version::Http1 => self.http1.serve(io, router, closing).await,
            // In a box: it is the larger one, and every connection would be as large.
            Version::Http2 => Box::pin(self.http2(io, router, closing)).await,
        };
        if let Err(error) = ended {
            // The client's doing: it went away, or does not speak HTTP.
            tracing::debug!(%error, "a connection ended badly");
        }
    }

    async fn http2(
        &self,
        io: Io,
        router: Router,
        closing: &CancellationToken,
    ) -> Result<(), BoxError> {
        let has_asked = AtomicBool::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            router.clone().oneshot(request.map(Body::new))
        });
        let serving = self.http2.serve_connection(TokioIo::new(io), service);
        let mut serving = pin!(serving);
        let shut_down = http2::Connection::graceful_shutdown;
        let mut serving = pin!(until_closing(serving.as_mut(), closing, shut_down));
        let ended = tokio::select! {
            ended = &mut serving => ended,
            // … and none until it has asked for something in HTTP/2.
            () = sleep(self.limits.head_timeout) => match has_asked.load(Ordering::Relaxed) {
                true => serving.await,
                false => return Ok(()),
            },
        };
        Ok(ended?)
    }
}

/// Reads the first bytes until they tell the version; both are given. hyper-util's own look
/// makes the buffer of what is read twice as large for as long as the connection lasts.
async fn version(stream: &mut TcpStream) -> io::Result<(Version, Bytes)> {
    let mut start = [0; PREFACE.len()];
    let mut length = 0;
    loop {
        length += match stream.read(&mut start[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        let version = match start[..length] == PREFACE[..length] {
            false => Version::Http1,
            true if length == PREFACE.len() => Version::Http2,
            true => continue,
        };
        return Ok((version, Bytes::copy_from_slice(&start[..length])));
    }
}

/// Serves a connection, which from `closing` on only finishes what it does.
pub(super) async fn until_closing<C: Future>(
    mut serving: Pin<&mut C>,
    closing: &CancellationToken,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> C::Output {
    tokio::select! {
        ended = serving.as_mut() => return ended,
        () = closing.cancelled() => shut_down(serving.as_mut()),
    }
    serving.await
}
