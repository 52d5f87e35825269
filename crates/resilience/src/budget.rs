//! A budget of retries, so that a failing provider receives hardly more calls than a healthy one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The cost of a retry. A call deposits as many units as the budget's percentage.
const RETRY: u64 = 100;

/// The interval at which one retry of the floor is restored.
const FLOOR_INTERVAL: Duration = Duration::from_secs(1);

/// A token bucket that calls fill and retries empty.
///
/// Even if all calls fail, there are at most `calls × (1 + percent / 100) + floor` attempts, and
/// one more for each second that passes.
#[derive(Debug)]
pub struct Budget {
    percent: u64,
    /// The floor in units, as the balance is. Below it the balance grows by itself.
    floor: u64,
    /// The upper limit, so that a long quiet time does not permit a storm of retries.
    most: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    balance: u64,
    /// Time at which the floor last restored a retry.
    counted: Instant,
}

impl Budget {
    /// Creates a budget of `percent` retries for a hundred calls. `floor` retries are available
    /// without any calls, so that a quiet server may retry at all.
    pub fn new(percent: u32, floor: u32) -> Self {
        let floor = u64::from(floor) * RETRY;
        Self {
            percent: u64::from(percent),
            floor,
            most: floor + u64::from(percent) * RETRY,
            state: Mutex::new(State {
                balance: floor,
                counted: Instant::now(),
            }),
        }
    }

    /// Records a call.
    pub fn deposit(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.balance = (state.balance + self.percent).min(self.most);
    }

    /// Takes a retry, if there is one.
    pub fn withdraw(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.refill(&mut state);
        let Some(rest) = state.balance.checked_sub(RETRY) else {
            return false;
        };
        state.balance = rest;
        true
    }

    fn refill(&self, state: &mut State) {
        let passed = state.counted.elapsed().as_secs() / FLOOR_INTERVAL.as_secs();
        if passed == 0 {
            return;
        }
        state.counted += FLOOR_INTERVAL.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX));
        if state.balance < self.floor {
            let refilled = state.balance.saturating_add(passed.saturating_mul(RETRY));
            state.balance = refilled.min(self.floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawn(budget: &Budget) -> usize {
        std::iter::repeat_with(|| budget.withdraw())
            .take_while(|taken| *taken)
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn retry_storm_is_bounded_by_percentage_and_floor() {
        let budget = Budget::new(20, 10);
        let mut retries = 0;
        for _ in 0..1_000 {
            budget.deposit();
            retries += withdrawn(&budget);
        }
        assert_eq!(retries, 200 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_server_regains_the_floor_and_no_more() {
        let budget = Budget::new(20, 3);
        assert_eq!(withdrawn(&budget), 3);
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(withdrawn(&budget), 1);
        // The remaining half second counts.
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(withdrawn(&budget), 1);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(withdrawn(&budget), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn saved_retries_are_bounded() {
        let budget = Budget::new(20, 3);
        (0..1_000_000).for_each(|_| budget.deposit());
        assert_eq!(withdrawn(&budget), 3 + 20);
    }

    #[tokio::test(start_paused = true)]
    async fn there_may_be_no_retries_at_all() {
        let budget = Budget::new(0, 0);
        budget.deposit();
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(withdrawn(&budget), 0);
    }
}
