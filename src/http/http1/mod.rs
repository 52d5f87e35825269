//! Serves HTTP/1 connections with hyper, except while a subscription is streamed. hyper keeps two
//! buffers of 8 KiB and the request's state for the duration of a response, and most streams are
//! idle most of the time. So a streaming connection is taken out of hyper and returned when the
//! stream ends.

mod streaming;

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, Method, Request, Version, header};
use axum::response::Response;
use axum::{BoxError, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::io::{Backlog, Io};
use super::serve::until_closing;
use streaming::Streaming;

/// Marks, as a response extension, a stream without a known end.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenEnded;

/// Serves connections of HTTP/1.
pub(super) struct Http1(Builder);

impl Http1 {
    /// Creates a server. `head_timeout` limits the time to send the head of a request and the idle
    /// time between two; `head_bytes` limits the size of that head, and of one read.
    pub(super) fn new(head_timeout: Duration, head_bytes: usize) -> Self {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .max_buf_size(head_bytes)
            .max_header_size(head_bytes)
            .header_read_timeout(head_timeout);
        Self(builder)
    }

    /// Serves a connection to its end; after `closing` it only finishes the current request.
    pub(super) async fn serve(
        &self,
        mut io: Io,
        router: Router,
        closing: &CancellationToken,
    ) -> Result<(), BoxError> {
        loop {
            // Boxed, so that the memory is free while a stream lasts.
            let next = Box::pin(self.until_stream(io, &router, closing));
            let Some((left, streaming)) = next.await? else {
                return Ok(());
            };
            io = left;
            streaming::write(&mut io, streaming).await?;
            if closing.is_cancelled() {
                return Ok(io.end().await?);
            }
        }
    }

    /// Serves requests with hyper until a response is a stream; `None` if the connection has ended
    /// or is no longer HTTP.
    async fn until_stream(
        &self,
        io: Io,
        router: &Router,
        closing: &CancellationToken,
    ) -> Result<Option<(Io, Streaming)>, BoxError> {
        let stream = Arc::new(Mutex::new(None));
        let backlog = io.backlog();
        let service = service_fn(|request: Request<Incoming>| {
            let stream = can_be_taken(&request).then(|| Arc::clone(&stream));
            let response = router.clone().oneshot(request.map(Body::new));
            async move {
                let response = response.await?;
                let stream = stream.filter(|_| response.extensions().get::<OpenEnded>().is_some());
                let Some(stream) = stream else {
                    return Ok::<_, Infallible>(response);
                };
                *stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
                // hyper is dropped while it waits for this.
                pending().await
            }
        });
        let serving = self.0.serve_connection(TokioIo::new(io), service);
        let mut serving = serving.with_upgrades();
        let shut_down = UpgradeableConnection::graceful_shutdown;
        let served = until_closing(Pin::new(&mut serving), closing, shut_down);
        let response = tokio::select! {
            biased;
            ended = served => return Ok(ended.map(|()| None)?),
            // Only the future polled above can set it, so no waker is needed.
            response = poll_fn(|_| taken(&stream, &backlog)) => response,
        };
        let Some(parts) = serving.into_parts() else {
            return Ok(None);
        };
        let streaming = Streaming::new(response, closing.is_cancelled())?;
        let io = parts.io.into_inner().with_early(parts.read_buf);
        Ok(Some((io, streaming)))
    }
}

/// Returns the streaming response once there is one and all previous output is written.
fn taken(stream: &Mutex<Option<Response>>, backlog: &Backlog) -> Poll<Response> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    match stream.is_some() && !backlog.is_there() {
        true => stream.take().map_or(Poll::Pending, Poll::Ready),
        false => Poll::Pending,
    }
}

/// Returns true if the response can be written without hyper: in chunks, after a request that is
/// read completely, on a connection that is kept alive.
fn can_be_taken(request: &Request<Incoming>) -> bool {
    let is_read = match *request.method() {
        // No handler responds with a stream before it has read the body.
        Method::POST => true,
        Method::GET => request.body().is_end_stream(),
        _ => false,
    };
    is_read && request.version() == Version::HTTP_11 && !closes(request.headers())
}

/// Returns true if the client requests to close the connection after the response (RFC 9112,
/// section 9.6).
fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION);
    values.iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}
