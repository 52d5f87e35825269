//! Locks by key, within this process.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The number of keys from which on unused ones are removed.
const FEW: usize = 64;

/// Locks by key, granted in the order of the requests. They save work and keep order only: between
/// processes the database decides.
pub(crate) struct KeyedLock<K> {
    names: Mutex<Names<K>>,
}

struct Names<K> {
    locks: HashMap<K, Arc<AsyncMutex<()>>>,
    /// The number of keys at which unused ones are removed.
    clean_at: usize,
}

impl<K: Hash + Eq> KeyedLock<K> {
    pub(crate) fn new() -> Self {
        Self {
            names: Mutex::new(Names {
                locks: HashMap::new(),
                clean_at: FEW,
            }),
        }
    }

    /// Waits for the lock of a key; dropping the guard releases it.
    pub(crate) async fn take(&self, name: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.locks.len() >= names.clean_at {
                // Holders and waiters of a lock have references to it.
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
        let turns = KeyedLock::new();
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
