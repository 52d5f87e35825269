//! A circuit breaker: what fails again and again is left alone for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Closed until so many failures have come in a row; then open, and nobody passes; after a
/// pause one call passes as a probe, and what comes of it closes or opens it again.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// Failures in a row that open it; 0 never does.
    failures: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    position: Position,
    /// Counts the changes of position: what a call comes to says nothing of a position that
    /// it did not begin in.
    epoch: u64,
}

#[derive(Debug)]
enum Position {
    Closed { failed: u32 },
    Open { until: Instant },
    Probing,
}

/// The breaker is open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Open;

impl Breaker {
    /// A closed one.
    pub(crate) fn new(failures: u32, pause: Duration) -> Arc<Self> {
        Arc::new(Self {
            failures,
            pause,
            state: Mutex::new(State {
                position: Position::Closed { failed: 0 },
                epoch: 0,
            }),
        })
    }

    /// Lets a call pass, or not.
    pub(crate) fn pass(self: &Arc<Self>) -> Result<Permit, Open> {
        let mut state = self.state();
        let is_probe = state.would_pass()?;
        if is_probe {
            state.go(Position::Probing);
        }
        Ok(Permit {
            breaker: Arc::clone(self),
            epoch: state.epoch,
            is_probe,
        })
    }

    /// Whether a call would pass now; to be asked before a wait for something else.
    pub(crate) fn check(&self) -> Result<(), Open> {
        self.state().would_pass().map(drop)
    }

    /// Whether it is as new, so that nothing is lost with it.
    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.state().position, Position::Closed { failed: 0 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the call that passes is a probe.
    fn would_pass(&self) -> Result<bool, Open> {
        match self.position {
            Position::Closed { .. } => Ok(false),
            Position::Open { until } if Instant::now() >= until => Ok(true),
            Position::Open { .. } | Position::Probing => Err(Open),
        }
    }

    fn go(&mut self, position: Position) {
        self.position = position;
        self.epoch += 1;
    }
}

/// A call that has passed. Dropped without a word it counts as neither; a probe's place is
/// then free again.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: Arc<Breaker>,
    epoch: u64,
    is_probe: bool,
}

impl Permit {
    /// The call begins well. For a probe that is enough: how it ends may take long to tell.
    pub(crate) fn begins_well(&mut self) {
        if self.is_probe {
            self.settle(|_| Position::Closed { failed: 0 });
        }
    }

    /// The call has ended well.
    pub(crate) fn succeeded(mut self) {
        self.settle(|_| Position::Closed { failed: 0 });
    }

    /// The call has failed, and it was not the caller's fault.
    pub(crate) fn failed(mut self) {
        let (most, pause) = (self.breaker.failures, self.breaker.pause);
        self.settle(|position| {
            let failed = match position {
                Position::Closed { failed } => failed.saturating_add(1),
                Position::Open { .. } | Position::Probing => most,
            };
            if most > 0 && failed >= most {
                let until = Instant::now() + pause;
                Position::Open { until }
            } else {
                Position::Closed { failed }
            }
        });
    }

    fn settle(&mut self, next: impl FnOnce(&Position) -> Position) {
        let mut state = self.breaker.state();
        if state.epoch != self.epoch {
            return;
        }
        let next = next(&state.position);
        match next {
            // Calls that are under way still count.
            Position::Closed { .. } if !self.is_probe => state.position = next,
            next => state.go(next),
        }
        self.is_probe = false;
        self.epoch = state.epoch;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.is_probe {
            let until = Instant::now();
            self.settle(|_| Position::Open { until });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn fail(breaker: &Arc<Breaker>, times: usize) {
        (0..times).for_each(|_| breaker.pass().unwrap().failed());
    }

    fn is_open(breaker: &Arc<Breaker>) -> bool {
        breaker.check().is_err() && breaker.pass().is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it_and_fewer_do_not() {
        let breaker = Breaker::new(5, PAUSE);
        fail(&breaker, 4);
        breaker.pass().unwrap().succeeded();
        fail(&breaker, 4);
        // Neither this nor that.
        drop(breaker.pass().unwrap());
        assert!(!is_open(&breaker));
        fail(&breaker, 1);
        assert!(is_open(&breaker));
        advance(PAUSE - Duration::from_millis(1)).await;
        assert!(is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_one_probe_decides() {
        let breaker = Breaker::new(5, PAUSE);
        fail(&breaker, 5);
        advance(PAUSE).await;
        let probe = breaker.pass().unwrap();
        assert!(is_open(&breaker));
        probe.failed();
        assert!(is_open(&breaker));

        advance(PAUSE).await;
        let mut probe = breaker.pass().unwrap();
        assert!(is_open(&breaker));
        probe.begins_well();
        // Closed, with all failures forgotten but the one that the probe then is.
        fail(&breaker, 3);
        probe.failed();
        assert!(!is_open(&breaker));
        fail(&breaker, 1);
        assert!(is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_makes_room_for_another() {
        let breaker = Breaker::new(1, PAUSE);
        fail(&breaker, 1);
        advance(PAUSE).await;
        drop(breaker.pass().unwrap());
        breaker.pass().unwrap().succeeded();
        assert!(!is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_from_before_have_no_say() {
        let breaker = Breaker::new(2, PAUSE);
        let (late_success, late_failure) = (breaker.pass().unwrap(), breaker.pass().unwrap());
        fail(&breaker, 2);
        late_success.succeeded();
        assert!(is_open(&breaker));
        advance(PAUSE).await;
        late_failure.failed();
        breaker.pass().unwrap().succeeded();
        fail(&breaker, 1);
        assert!(!is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn none_opens_a_breaker_without_a_limit() {
        let breaker = Breaker::new(0, PAUSE);
        fail(&breaker, 1_000);
        assert!(!is_open(&breaker));
    }
}
