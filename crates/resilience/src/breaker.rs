//! A circuit breaker, which pauses calls after repeated failures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Closed until so many consecutive failures; then open, and all calls are refused. After a pause
/// one call passes as a probe, whose outcome closes or opens the breaker again.
///
/// A breaker that callers share opens only for failures of more than one of them: failures that one
/// caller's input provokes are no reason to refuse the others.
#[derive(Debug)]
pub struct Breaker {
    /// Consecutive failures that open it; 0 for never.
    failures: u32,
    is_shared: bool,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    position: Position,
    /// Counts the changes of position: the outcome of a call does not count for a position that it
    /// did not begin in.
    epoch: u64,
}

#[derive(Debug)]
enum Position {
    Closed(Failures),
    Open { until: Instant },
    Probing,
}

/// Consecutive failures.
#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    /// The caller of the first of them.
    first: Option<u64>,
    /// True when a failure of another caller followed.
    of_several: bool,
}

impl Failures {
    fn and(self, caller: u64) -> Self {
        Self {
            count: self.count.saturating_add(1),
            first: self.first.or(Some(caller)),
            of_several: self.of_several || self.first.is_some_and(|first| first != caller),
        }
    }
}

/// The breaker is open.
#[derive(Debug, PartialEq, Eq)]
pub struct Open;

impl Breaker {
    /// Creates a closed breaker of one caller.
    pub fn new(failures: u32, pause: Duration) -> Arc<Self> {
        Self::closed(failures, pause, false)
    }

    /// Creates a closed breaker that callers share.
    pub fn shared(failures: u32, pause: Duration) -> Arc<Self> {
        Self::closed(failures, pause, true)
    }

    fn closed(failures: u32, pause: Duration, is_shared: bool) -> Arc<Self> {
        Arc::new(Self {
            failures,
            is_shared,
            pause,
            state: Mutex::new(State {
                position: Position::Closed(Failures::default()),
                epoch: 0,
            }),
        })
    }

    /// Lets a call of `caller` pass, or refuses it.
    pub fn pass(self: &Arc<Self>, caller: u64) -> Result<Permit, Open> {
        let mut state = self.state();
        let is_probe = state.would_pass()?;
        if is_probe {
            state.go(Position::Probing);
        }
        Ok(Permit {
            breaker: Arc::clone(self),
            epoch: state.epoch,
            caller,
            is_probe,
        })
    }

    /// Checks that a call would pass now; for use before a wait for something else.
    pub fn check(&self) -> Result<(), Open> {
        self.state().would_pass().map(drop)
    }

    /// Returns true if it has no state that could be lost.
    pub fn is_fresh(&self) -> bool {
        matches!(self.state().position, Position::Closed(failures) if failures.count == 0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns true if the call that passes is a probe.
    fn would_pass(&self) -> Result<bool, Open> {
        match self.position {
            Position::Closed(_) => Ok(false),
            Position::Open { until } if Instant::now() >= until => Ok(true),
            Position::Open { .. } | Position::Probing => Err(Open),
        }
    }

    fn go(&mut self, position: Position) {
        self.position = position;
        self.epoch += 1;
    }
}

/// A call that has passed. Dropped without an outcome it counts as neither; a probe's slot is then
/// free again.
#[derive(Debug)]
pub struct Permit {
    breaker: Arc<Breaker>,
    epoch: u64,
    caller: u64,
    is_probe: bool,
}

impl Permit {
    /// Records that the call has started successfully, which is enough for a probe: its end may
    /// take long.
    pub fn begins_well(&mut self) {
        if self.is_probe {
            self.settle(|_| Position::Closed(Failures::default()));
        }
    }

    /// Records that the call has succeeded.
    pub fn succeeded(mut self) {
        self.settle(|_| Position::Closed(Failures::default()));
    }

    /// Records that the call has failed, through no fault of the caller.
    pub fn failed(mut self) {
        let (most, pause) = (self.breaker.failures, self.breaker.pause);
        let (is_shared, caller) = (self.breaker.is_shared, self.caller);
        self.settle(|position| {
            let until = Instant::now() + pause;
            let Position::Closed(failures) = position else {
                return Position::Open { until };
            };
            let failures = failures.and(caller);
            let is_everybodys = !is_shared || failures.of_several;
            match most > 0 && failures.count >= most && is_everybodys {
                true => Position::Open { until },
                false => Position::Closed(failures),
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
            // Active calls still count.
            Position::Closed(_) if !self.is_probe => state.position = next,
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
        (0..times).for_each(|_| breaker.pass(0).unwrap().failed());
    }

    fn is_open(breaker: &Arc<Breaker>) -> bool {
        breaker.check().is_err() && breaker.pass(0).is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it_and_fewer_do_not() {
        let breaker = Breaker::new(5, PAUSE);
        fail(&breaker, 4);
        breaker.pass(0).unwrap().succeeded();
        fail(&breaker, 4);
        // Neither success nor failure.
        drop(breaker.pass(0).unwrap());
        assert!(!is_open(&breaker));
        fail(&breaker, 1);
        assert!(is_open(&breaker));
        advance(PAUSE - Duration::from_millis(1)).await;
        assert!(is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_opens_no_breaker_of_several() {
        let breaker = Breaker::shared(3, PAUSE);
        fail(&breaker, 100);
        assert!(!is_open(&breaker));
        breaker.pass(1).unwrap().failed();
        assert!(is_open(&breaker));
        advance(PAUSE).await;
        breaker.pass(0).unwrap().succeeded();
        breaker.pass(1).unwrap().failed();
        fail(&breaker, 1);
        assert!(!is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_pause_one_probe_decides() {
        let breaker = Breaker::new(5, PAUSE);
        fail(&breaker, 5);
        advance(PAUSE).await;
        let probe = breaker.pass(0).unwrap();
        assert!(is_open(&breaker));
        probe.failed();
        assert!(is_open(&breaker));

        advance(PAUSE).await;
        let mut probe = breaker.pass(0).unwrap();
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
    async fn dropped_probe_allows_another() {
        let breaker = Breaker::new(1, PAUSE);
        fail(&breaker, 1);
        advance(PAUSE).await;
        drop(breaker.pass(0).unwrap());
        breaker.pass(0).unwrap().succeeded();
        assert!(!is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_of_earlier_calls_are_ignored() {
        let breaker = Breaker::new(2, PAUSE);
        let (late_success, late_failure) = (breaker.pass(0).unwrap(), breaker.pass(0).unwrap());
        fail(&breaker, 2);
        late_success.succeeded();
        assert!(is_open(&breaker));
        advance(PAUSE).await;
        late_failure.failed();
        breaker.pass(0).unwrap().succeeded();
        fail(&breaker, 1);
        assert!(!is_open(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn breaker_without_a_limit_never_opens() {
        let breaker = Breaker::new(0, PAUSE);
        fail(&breaker, 1_000);
        assert!(!is_open(&breaker));
    }
}
