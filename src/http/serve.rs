//! The listener: limits on the number of connections and on the time for sending requests.

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

/// The limits of the listener.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// The maximum number of connections; more wait to be accepted.
    pub most: usize,
    /// The maximum time to send the head of a request, and the maximum idle time between two.
    pub head_timeout: Duration,
    /// The maximum size of the head of a request, in bytes.
    pub head_bytes: u32,
    /// The maximum time without progress of a write.
    pub write_timeout: Duration,
}

/// The pause of accepting after an error such as too many open files, which an immediate retry
/// would only repeat.
const REST: Duration = Duration::from_millis(100);

/// The start of the HTTP/2 preface (RFC 9113, section 3.4) that differs from all HTTP/1 methods.
const PREFACE: [u8; 3] = *b"PRI";

/// The maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// The maximum number of response bytes buffered for a slow HTTP/2 client, in addition to the
/// current chunk.
const SEND_BUFFER: usize = 64 * 1024;

/// The maximum number of HTTP/2 streams that a client's errors may end before their connection
/// ends.
const RESETS: usize = 128;

/// Accepts connections until `closing`, then lets open ones finish.
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
                    tracing::warn!(%error, "failed to accept a connection");
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

/// A connection; it fails if a write makes no progress for too long. Boxed, because its timer must
/// not move.
pub(super) type Stream = Pin<Box<TimeoutWriter<TcpStream>>>;

/// The HTTP protocol versions.
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
        // Tokens are small writes that must be sent at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "failed to set TCP_NODELAY");
        }
        let version = tokio::select! {
            // No other time limit applies until the version is known …
            version = timeout(self.limits.head_timeout, version(&mut stream)) => version,
            () = closing.cancelled() => return,
        };
        // A client that reads nothing would otherwise stay until the TCP timeout.
        let mut stream = Box::pin(TimeoutWriter::new(stream));
        let write_timeout = Some(self.limits.write_timeout);
        stream.as_mut().set_timeout_pinned(write_timeout);
        let Ok(Ok((version, start))) = version else {
            // The client was too late or has disconnected.
            return;
        };
        let io = Io::new(stream, start);
        let ended = match version {
            Version::Http1 => self.http1.serve(io, router, closing).await,
            // Boxed: it is the larger variant, and every connection would be as large.
            Version::Http2 => Box::pin(self.http2(io, router, closing)).await,
        };
        if let Err(error) = ended {
            // The client's doing: it disconnected or does not speak HTTP.
            tracing::debug!(%error, "connection failed");
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
            // … and none until the first request in HTTP/2.
            () = sleep(self.limits.head_timeout) => match has_asked.load(Ordering::Relaxed) {
                true => serving.await,
                false => return Ok(()),
            },
        };
        Ok(ended?)
    }
}

/// Reads the first bytes until they identify the version; returns both. hyper-util's own detection
/// doubles the read buffer for the duration of the connection.
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

/// Serves a connection; after `closing` it only finishes the current requests.
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
