//! Turns: what has the same name is done one after the other, within this process.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// How many names are remembered before those that nobody uses are looked for.
const FEW: usize = 64;

/// Hands out turns, in the order in which they were asked for. They only save work and keep
/// order: between processes the database decides.
pub(crate) struct Turns<K> {
    names: Mutex<Names<K>>,
}

struct Names<K> {
    locks: HashMap<K, Arc<AsyncMutex<()>>>,
    /// The number of names at which the unused ones are removed.
    clean_at: usize,
}

impl<K: Hash + Eq> Turns<K> {
    pub(crate) fn new() -> Self {
        Self {
            names: Mutex::new(Names {
                locks: HashMap::new(),
                clean_at: FEW,
            }),
        }
    }

    /// Waits until nobody else has the turn of this name; it ends when the guard is dropped.
    pub(crate) async fn take(&self, name: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.locks.len() >= names.clean_at {
                // Whoever has a turn or waits for one holds the lock, too.
                names.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
                names.clean_at = FEW.max(2 * names.locks.len());
            }
            Arc::clone(names.locks.entry(name).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_and_names_do_not_pile_up() {
        let turns = Turns::new();
        let kept = turns.take(0).await;
        for name in 1..10 * FEW {
            drop(turns.take(name).await);
        }
        let count = || {
            turns
                .names
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .locks
                .len()
        };
        assert!(count() <= FEW, "{}", count());
        let again = tokio::time::timeout(std::time::Duration::from_millis(20), turns.take(0));
        assert!(again.await.is_err(), "the turn is still had");
        drop(kept);
        drop(turns.take(0).await);
    }
}
