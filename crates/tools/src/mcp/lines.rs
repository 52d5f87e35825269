//! A program's standard output, with limits on bytes per line and lines per second.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The window in which messages are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Limits on a program's output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The longest message, in bytes.
    pub(super) message_bytes: usize,
    /// The most messages in a second; reading pauses after these.
    pub(super) messages_per_second: u32,
}

/// A reader of lines that fails at a line that is too long, and pauses after too many.
pub(super) struct Bounded<R> {
    /// None once a line was too long: the writer then finds its pipe closed.
    inner: Option<R>,
    bounds: Bounds,
    too_long: Arc<AtomicBool>,
    /// The bytes of the current line so far.
    line: usize,
    /// The lines since the window began.
    lines: u32,
    window: Pin<Box<Sleep>>,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R, bounds: Bounds, too_long: Arc<AtomicBool>) -> Self {
        Self {
            inner: Some(inner),
            bounds,
            too_long,
            line: 0,
            lines: 0,
            window: Box::pin(sleep_until(Instant::now() + WINDOW)),
        }
    }

    /// Counts the bytes that were read; false if a line is too long.
    fn count(&mut self, read: &[u8]) -> bool {
        for piece in read.split_inclusive(|byte| *byte == b'\n') {
            self.line += piece.len();
            if self.line > self.bounds.message_bytes {
                return false;
            }
            if piece.ends_with(b"\n") {
                self.line = 0;
                self.lines = self.lines.saturating_add(1);
            }
        }
        true
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Bounded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lines >= this.bounds.messages_per_second {
            ready!(this.window.as_mut().poll(context));
        }
        if this.window.deadline() <= Instant::now() {
            this.lines = 0;
            this.window.as_mut().reset(Instant::now() + WINDOW);
        }
        let before = buffer.filled().len();
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(Err(io::Error::other("a message was too long")));
        };
        ready!(Pin::new(inner).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !this.count(read) {
            // A read that fails must not return data.
            buffer.set_filled(before);
            this.inner = None;
            this.too_long.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("a message was too long")));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn bounded(said: &[u8], message_bytes: usize, messages_per_second: u32) -> Bounded<&[u8]> {
        let bounds = Bounds {
            message_bytes,
            messages_per_second,
        };
        Bounded::new(said, bounds, Arc::default())
    }

    #[tokio::test]
    async fn line_over_the_limit_ends_the_stream() {
        let mut read = Vec::new();
        let mut fits = bounded(b"12345\n1234\n\n", 6, 100);
        fits.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"12345\n1234\n\n");
        let mut too_long = bounded(b"12345\n123456\n", 6, 100);
        too_long.read_to_end(&mut read).await.unwrap_err();
        assert!(too_long.too_long.load(Ordering::Relaxed));
        too_long.read_to_end(&mut read).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn reading_pauses_after_too_many_lines() {
        let mut many = bounded(b"1\n2\n3\n4\n5\n", 9, 2);
        let (began, mut piece) = (Instant::now(), [0; 2]);
        for _ in 0..5 {
            many.read_exact(&mut piece).await.unwrap();
        }
        assert_eq!(began.elapsed().as_secs(), 2);
    }
}
