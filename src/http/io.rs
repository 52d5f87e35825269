//! The byte stream of a connection that is passed to hyper and back.

use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::serve::Stream;

/// A connection.
pub(super) struct Io {
    stream: Stream,
    /// Bytes already read that begin the next request.
    early: Bytes,
    backlog: Backlog,
}

/// Tells if output waits to be written. hyper does not report it, but writes until nothing is left
/// or the client stops reading.
#[derive(Clone, Default)]
pub(super) struct Backlog(Arc<AtomicBool>);

impl Backlog {
    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Io {
    /// Wraps a connection of which `start` was already read.
    pub(super) fn new(stream: Stream, start: Bytes) -> Self {
        Self {
            stream,
            early: start,
            backlog: Backlog::default(),
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    /// Puts `read` back before the next read.
    pub(super) fn with_early(mut self, read: Bytes) -> Self {
        // Copied, because the slice would keep hyper's whole buffer.
        self.early = match (read.is_empty(), self.early.is_empty()) {
            (true, _) => self.early,
            (false, true) => Bytes::copy_from_slice(&read),
            (false, false) => [read, self.early].concat().into(),
        };
        self
    }

    /// Waits until the client disconnects. The disconnect of a client that sends data goes
    /// unnoticed; the data is read later.
    pub(super) async fn gone(&self) -> io::Error {
        if !self.early.is_empty() {
            return pending().await;
        }
        let stream = self.stream.get_ref();
        let looked = poll_fn(|context| {
            let mut byte = [0];
            stream.poll_peek(context, &mut ReadBuf::new(&mut byte))
        });
        match looked.await {
            Ok(0) => ErrorKind::UnexpectedEof.into(),
            Ok(_) => pending().await,
            Err(error) => error,
        }
    }

    /// Shuts down the write side.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.backlog
            .0
            .store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return self.stream.as_mut().poll_read(context, into);
        }
        let length = self.early.len().min(into.remaining());
        into.put_slice(&self.early.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(context, pieces);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
