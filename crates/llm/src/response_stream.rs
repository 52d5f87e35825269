//! A response on its way: the body's bytes in, parts out.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::task::coop;

use self::body_start::BodyStart;
use super::call_timeouts::CallTimeouts;
use super::error::Unusable;
use super::parts::{Parts, ReadError};
use super::reader::Reader;
use super::sse::SseError;
use super::{LlmError, StreamPart};

mod body_start;

#[cfg(test)]
mod tests;

/// The time that a body may take to end after its last event. A connection whose body was read to
/// its end serves the next call; one that is dropped before is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);

/// The stream behind [`crate::PartStream`]. All parts of one chunk of the body are
/// ready at once, with no wait between them.
pub(super) struct ResponseStream<S> {
    body: S,
    reader: Reader,
    parts: Parts,
    timeouts: CallTimeouts,
    state: State,
    opening: BodyStart,
}

enum State {
    Reading,
    /// The answer is complete; only the body's end is missing.
    Draining,
    /// Only the parts that are ready remain, then the error if there is one.
    Over(Option<LlmError>),
}

enum Came<E> {
    Bytes(Bytes),
    End,
    Cut(E),
    Late(LlmError),
}

impl<S, E> ResponseStream<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    pub(super) fn new(body: S, reader: Reader, parts: Parts, timeouts: CallTimeouts) -> Self {
        let state = State::Reading;
        Self {
            body,
            reader,
            parts,
            timeouts,
            state,
            opening: BodyStart::default(),
        }
    }

    fn poll_came(&mut self, cx: &mut Context<'_>) -> Poll<Came<E>> {
        // Without a budget, a body that is always ready and never contains a part would keep its
        // worker thread from all other tasks.
        let budget = ready!(coop::poll_proceed(cx));
        let came = match self.body.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(bytes))) => Came::Bytes(bytes),
            Poll::Ready(Some(Err(error))) => Came::Cut(error),
            Poll::Ready(None) => Came::End,
            Poll::Pending => Came::Late(ready!(self.timeouts.poll_expired(cx))),
        };
        budget.made_progress();
        Poll::Ready(came)
    }

    fn accept(&mut self, came: Came<E>) {
        if matches!(self.state, State::Draining) {
            self.state = State::Over(None);
            return;
        }
        match came {
            Came::Bytes(bytes) => self.read(&bytes),
            Came::End => {
                let ended = self.reader.end(&mut self.parts);
                let error = ended.map_or_else(|error| self.failed(error), |()| LlmError::Protocol);
                let error = self.in_place_of_an_answer(error);
                self.over(error);
            }
            Came::Cut(error) => {
                tracing::warn!(parent: self.parts.span(), provider = self.parts.provider(), %error, "model answer interrupted");
                self.over(LlmError::Protocol);
            }
            Came::Late(error) => self.over(error),
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let (seen, signs) = (self.parts.seen(), self.reader.signs());
        let read = self.reader.read(bytes, &mut self.parts);
        match self.parts.seen() {
            0 => self.opening.keep(bytes),
            _ => self.opening.forget(),
        }
        if self.parts.seen() != seen {
            self.timeouts.part_came();
        } else if self.reader.signs() != signs {
            self.timeouts.sign_came();
        }
        if let Err(error) = read {
            let error = self.failed(error);
            self.over(error);
        } else if self.parts.is_done() {
            match self.parts.release_finish() {
                Ok(_) => {
                    self.timeouts.end_within(DRAIN_TIMEOUT);
                    self.state = State::Draining;
                }
                Err(error) => self.state = State::Over(Some(error)),
            }
        } else if let Err(error) = self.timeouts.check_total() {
            self.over(error);
        }
    }

    /// The error that the body reports, if nothing else could be read from it.
    fn in_place_of_an_answer(&mut self, error: LlmError) -> LlmError {
        if error != LlmError::Protocol || self.parts.seen() > 0 {
            return error;
        }
        let Some(fault) = self.opening.fault() else {
            return error;
        };
        match self.parts.fault(&fault) {
            // The body is only a text for people: the read error is more precise.
            ReadError::Reported(LlmError::Unavailable) => error,
            ReadError::Reported(told) => told,
            ReadError::Sse(_) => error,
        }
    }

    fn failed(&self, error: ReadError) -> LlmError {
        match error {
            ReadError::Reported(error) => error,
            ReadError::Sse(SseError::TooLarge { .. }) => {
                self.parts.unusable(Unusable::PartTooLarge)
            }
        }
    }

    /// Ends the answer, successfully if the model has given its finish reason. An error after that
    /// costs the usage at most, and failing would cost the answer.
    fn over(&mut self, error: LlmError) {
        let finished = self.parts.release_finish();
        self.state = State::Over(finished.map_or_else(Some, |told| (!told).then_some(error)));
    }
}

impl<S, E> Stream for ResponseStream<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    type Item = Result<StreamPart, LlmError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(part) = this.parts.next() {
                return Poll::Ready(Some(Ok(part)));
            }
            if let State::Over(error) = &mut this.state {
                return Poll::Ready(error.take().map(Err));
            }
            let came = ready!(this.poll_came(cx));
            this.accept(came);
        }
    }
}
