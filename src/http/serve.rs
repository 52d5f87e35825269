//! Connections: how many there are, and how long one may take to say what it wants.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Bounds of the listener.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// How many there may be; more wait to be accepted.
    pub most: usize,
    /// How long one may take to send the head of a request, or be idle between two.
    pub head_timeout: Duration,
    /// How long one may take none of what is written to it.
    pub write_timeout: Duration,
}

/// How long accepting rests after an error such as too many open files, which another
/// attempt at once would only meet again.
const REST: Duration = Duration::from_millis(100);

/// Accepts connections until `closing`, then lets those there are finish what they do.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Connections,
    closing: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.most));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.head_timeout);
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&listener, &places) => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
            () = closing.cancelled() => break,
        };
        let connection = Connection {
            router: router.clone(),
            builder: builder.clone(),
            limits,
            watcher: graceful.watcher(),
        };
        tokio::spawn(async move {
            connection.serve(stream).await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
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

struct Connection {
    router: Router,
    builder: Builder<TokioExecutor>,
    limits: Connections,
    watcher: Watcher,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Tokens are small writes that must leave at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let has_asked = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&has_asked);
        let router = self.router;
        let service = service_fn(move |request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            router.clone().oneshot(request.map(Body::new))
        });
        // A client that reads nothing would otherwise stay until TCP gives up.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let serving = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(Box::pin(stream)), service);
        let mut serving = pin!(self.watcher.watch(serving));
        let ended = tokio::select! {
            ended = &mut serving => ended,
            // Until the first bytes tell the version of HTTP no other clock runs.
            () = tokio::time::sleep(self.limits.head_timeout) => {
                if !has_asked.load(Ordering::Relaxed) {
                    return;
                }
                serving.await
            }
        };
        if let Err(error) = ended {
            // The client's doing: it went away, or does not speak HTTP.
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}
