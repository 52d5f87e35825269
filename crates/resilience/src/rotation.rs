//! Rotation among equals: one is used until it is paused, then the next.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Numbers from 0, some of which are paused.
#[derive(Debug)]
pub struct Rotation {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: usize,
    /// The end of each one's pause.
    rests: Vec<Option<Instant>>,
}

impl Rotation {
    /// Creates a rotation of so many, at least one.
    pub fn new(count: usize) -> Self {
        Self {
            state: Mutex::new(State {
                current: 0,
                rests: vec![None; count.max(1)],
            }),
        }
    }

    /// The one to use, which stays the same until it is paused: a provider may keep caches for
    /// each. When all are paused, the time until one is not.
    pub fn pick(&self) -> Result<usize, Duration> {
        let mut state = self.state();
        let (now, count) = (Instant::now(), state.rests.len());
        let in_order = (0..count).map(|step| (state.current + step) % count);
        let waits = in_order.map(|one| {
            let rest = state.rests.get(one).copied().flatten();
            (
                rest.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)),
                one,
            )
        });
        // The first of equal ones.
        match waits.min_by_key(|(wait, _)| *wait) {
            Some((Duration::ZERO, one)) => {
                state.current = one;
                Ok(one)
            }
            Some((wait, _)) => Err(wait),
            None => Ok(0),
        }
    }

    /// Pauses one, or, without a time, only moves it behind the others.
    pub fn rest(&self, one: usize, rest: Option<Duration>) {
        let mut state = self.state();
        let until = rest.map(|rest| Instant::now() + rest);
        if let Some(resting) = state.rests.get_mut(one) {
            // Responses may arrive in another order than their calls were sent.
            *resting = until.max(*resting);
        }
        if state.current == one {
            state.current = (one + 1) % state.rests.len();
        }
    }

    /// Returns true if none is paused, so that no state could be lost.
    pub fn is_fresh(&self) -> bool {
        let now = Instant::now();
        let state = self.state();
        state
            .rests
            .iter()
            .all(|rest| rest.is_none_or(|until| until <= now))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const REST: Duration = Duration::from_secs(7);

    #[tokio::test(start_paused = true)]
    async fn one_key_is_used_until_it_is_paused() {
        let rotation = Rotation::new(3);
        assert_eq!([rotation.pick(), rotation.pick()], [Ok(0), Ok(0)]);
        rotation.rest(0, Some(REST));
        assert_eq!([rotation.pick(), rotation.pick()], [Ok(1), Ok(1)]);
        // A late response to a call with the first changes nothing.
        rotation.rest(0, None);
        assert_eq!(rotation.pick(), Ok(1));
        rotation.rest(1, None);
        assert_eq!(rotation.pick(), Ok(2));
        rotation.rest(2, Some(REST));
        assert_eq!(rotation.pick(), Ok(1), "the second does not rest");
        assert!(!rotation.is_fresh());
        advance(REST).await;
        assert!(rotation.is_fresh());
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_paused_the_shortest_wait_is_returned() {
        let rotation = Rotation::new(2);
        rotation.rest(0, Some(2 * REST));
        rotation.rest(1, Some(REST));
        assert_eq!(rotation.pick(), Err(REST));
        // The longer of two pauses counts.
        rotation.rest(1, Some(Duration::ZERO));
        advance(REST - Duration::from_secs(1)).await;
        assert_eq!(rotation.pick(), Err(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        assert_eq!(rotation.pick(), Ok(1));
    }
}
