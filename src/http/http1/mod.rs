//! A connection of HTTP/1: hyper's, except while a subscription is streamed. hyper keeps two
//! buffers of 8 KiB and what else a request takes for as long as the response lasts, and most
//! streams say nothing most of the time. So a stream's connection is taken out of hyper, and
//! goes back when the stream has ended.

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

/// Marks a response, among its extensions, that is a stream without a known end.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenEnded;

/// Serves connections of HTTP/1.
pub(super) struct Http1(Builder);

impl Http1 {
    /// `head_timeout` is how long a connection may take to send the head of a request, or be
    /// idle between two; `head_bytes` is how large that head may be, and how much is read at
    /// once.
    pub(super) fn new(head_timeout: Duration, head_bytes: usize) -> Self {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .max_buf_size(head_bytes)
            .max_header_size(head_bytes)
            .header_read_timeout(head_timeout);
        Self(builder)
    }

    /// Serves a connection to its end; from `closing` on it only finishes what it does.
    pub(super) async fn serve(
        &self,
        mut io: Io,
        router: Router,
        closing: &CancellationToken,
    ) -> Result<(), BoxError> {
        loop {
            // In a box, which is gone while a stream lasts.
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

    /// Has hyper serve requests until one is answered with a stream; none when the connection
    /// has ended or is no longer HTTP.
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
                // hyper is left while it waits for this.
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
            // Only what was polled just now can give one, so nobody needs to wake this.
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

/// The response that is a stream, once there is one and everything before it is written.
fn taken(stream: &Mutex<Option<Response>>, backlog: &Backlog) -> Poll<Response> {
    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
    match stream.is_some() && !backlog.is_there() {
        true => stream.take().map_or(Poll::Pending, Poll::Ready),
        false => Poll::Pending,
    }
}

/// Whether the response to a request can be written without hyper: in chunks, after a request
/// that has been read to its end, on a connection that then goes on.
fn can_be_taken(request: &Request<Incoming>) -> bool {
    let is_read = match *request.method() {
        // Nothing answers with a stream before it has read the body.
        Method::POST => true,
        Method::GET => request.body().is_end_stream(),
        _ => false,
    };
    is_read && request.version() == Version::HTTP_11 && !closes(request.headers())
}

/// Whether the client wants the connection to end with the response (RFC 9112, section 9.6).
fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION);
    values.iter().any(|value| {
        let mut options = value.as_bytes().split(|byte| *byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}
