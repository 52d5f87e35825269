//! The wait for a server that is still loading its model.

use std::time::Duration;

use talkgraph_resilience::Backoff;
use tokio::time::Instant;

/// The waits if the server requests none.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(250),
    cap: Duration::from_secs(5),
};

/// The waits of one call, which have a budget of their own: they are not retries of a failure.
pub(super) struct Loading {
    timeout: Duration,
    /// The end of the budget, once waiting has begun.
    until: Option<Instant>,
    /// The number of the next wait, from 1.
    next: u32,
}

impl Loading {
    /// Creates an unused budget.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            until: None,
            next: 1,
        }
    }

    /// The time until the next attempt, as the server requests if it does; none when the budget is
    /// used up.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + self.timeout);
        let left = until.saturating_duration_since(now);
        let wait = asked.unwrap_or_else(|| BACKOFF.bound(self.next));
        let wait = wait.clamp(BACKOFF.base, BACKOFF.cap);
        self.next = self.next.saturating_add(1);
        (!left.is_zero()).then(|| wait.min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end_with_the_budget() {
        let mut loading = Loading::new(Duration::from_secs(20));
        let mut waits = Vec::new();
        while let Some(wait) = loading.wait(None) {
            waits.push(wait.as_millis());
            tokio::time::advance(wait).await;
        }
        assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 2_250]);
        let mut loading = Loading::new(Duration::from_secs(20));
        assert_eq!(
            loading.wait(Some(Duration::from_secs(3))),
            Some(Duration::from_secs(3))
        );
        assert_eq!(
            loading.wait(Some(Duration::from_secs(60))),
            Some(BACKOFF.cap)
        );
        assert_eq!(Loading::new(Duration::ZERO).wait(None), None);
    }
}
