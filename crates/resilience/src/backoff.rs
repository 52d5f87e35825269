//! Delays between retries: exponential, with full jitter.

use std::time::Duration;

/// The waits between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest wait before the first retry; each further one may take twice as long.
    pub base: Duration,
    /// The longest delay before any retry.
    pub cap: Duration,
}

impl Backoff {
    /// A delay before the retry with this number, from 1: random between zero and the limit, so
    /// that calls that failed together are not retried together.
    pub fn wait(&self, retry: u32) -> Duration {
        self.bound(retry).mul_f64(fastrand::f64())
    }

    /// The longest delay before the retry with this number, from 1.
    pub fn bound(&self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(100),
        cap: Duration::from_millis(500),
    };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds = [1, 2, 3, 4, 40, u32::MAX].map(|retry| BACKOFF.bound(retry).as_millis());
        assert_eq!(bounds, [100, 200, 400, 500, 500, 500]);
    }

    #[test]
    fn waits_are_spread_over_all_of_it() {
        let waits: Vec<_> = (0..1_000).map(|_| BACKOFF.wait(3)).collect();
        let within = |from, to| {
            let range = Duration::from_millis(from)..Duration::from_millis(to);
            waits.iter().filter(|wait| range.contains(wait)).count()
        };
        assert_eq!(within(0, 400), 1_000);
        assert!(within(0, 100) > 100 && within(300, 400) > 100);
    }
}
