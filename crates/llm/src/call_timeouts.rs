//! Time limits of a call: to its first part, between parts, and in total.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::LlmError;

/// The limits of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) first_token: Duration,
    pub(super) idle: Duration,
    pub(super) total: Duration,
}

/// Enforces the time limits of one call with one timer.
///
/// A part only costs reading the clock. The timer is not moved for it: it fires at a deadline that
/// has been extended meanwhile, notices that and is set again.
pub(super) struct CallTimeouts {
    limits: Limits,
    started: Instant,
    last_part: Option<Instant>,
    /// Time of the last sign that the provider is alive: a part, an event without one, or a
    /// comment.
    last_sign: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl CallTimeouts {
    /// Starts the call's clock.
    pub(super) fn start(limits: Limits) -> Self {
        let started = Instant::now();
        let deadline = after(started, limits.first_token.min(limits.total));
        Self {
            limits,
            started,
            last_part: None,
            last_sign: None,
            timer: Box::pin(sleep_until(deadline)),
        }
    }

    /// Records the arrival of a part.
    pub(super) fn part_came(&mut self) {
        self.sign_came();
        self.last_part = self.last_sign;
    }

    /// Records a sign that the provider is alive, without a part of the answer: the model thinks,
    /// or writes arguments that are not shown yet. All limits except the total are extended.
    pub(super) fn sign_came(&mut self) {
        self.last_sign = Some(Instant::now());
    }

    /// Limits the remaining time.
    pub(super) fn end_within(&mut self, wait: Duration) {
        self.part_came();
        self.limits.idle = wait;
    }

    /// Checks the total limit. Called for each chunk, because a provider that never pauses would
    /// keep [`CallTimeouts::poll_expired`] from being called.
    pub(super) fn check_total(&self) -> Result<(), LlmError> {
        if self.started.elapsed() >= self.limits.total {
            return Err(LlmError::TotalTimeout(self.limits.total));
        }
        Ok(())
    }

    /// Waits until a limit is exceeded.
    pub(super) async fn expired(&mut self) -> LlmError {
        poll_fn(|cx| self.poll_expired(cx)).await
    }

    /// Ready with the error of the exceeded limit; wakes the task when one is.
    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<LlmError> {
        loop {
            let (deadline, error) = self.deadline();
            // Only the first and the last part can bring the deadline forward.
            if deadline < self.timer.deadline() {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(error);
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    fn deadline(&self) -> (Instant, LlmError) {
        let Limits {
            first_token,
            idle,
            total,
        } = self.limits;
        let last = self.last_sign.unwrap_or(self.started);
        let (next, error) = match self.last_part {
            None => (
                after(last, first_token),
                LlmError::FirstTokenTimeout(first_token),
            ),
            Some(_) => (after(last, idle), LlmError::IdleTimeout(idle)),
        };
        let end = after(self.started, total);
        if end <= next {
            (end, LlmError::TotalTimeout(total))
        } else {
            (next, error)
        }
    }
}

/// An instant too far away to be represented never comes.
fn after(start: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    start + wait.min(NEVER)
}
