//! Memory of the parameters that models refuse.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::change::Change;

/// The maximum number of models of one provider. Agents and settings name a handful; the limit is
/// for names from the API.
const MAX_MODELS: usize = 256;

/// The maximum number of parameters of one model.
const MAX_CHANGES: usize = 16;

/// The parameters that a provider's models refuse, shared by all of its keys. Limited in number and
/// time.
#[derive(Debug, Clone)]
pub struct ParameterMemory {
    lasts: Duration,
    models: Arc<Mutex<HashMap<String, Vec<Remembered>>>>,
}

#[derive(Debug, Clone)]
struct Remembered {
    change: Change,
    since: Instant,
}

/// The novelty of a call's finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learned {
    /// Found for the first time in a while.
    New,
    /// Found by other calls before.
    Known,
}

impl ParameterMemory {
    /// Creates an empty memory that keeps each finding for this time; zero keeps nothing.
    pub fn new(lasts: Duration) -> Self {
        Self {
            lasts,
            models: Arc::default(),
        }
    }

    /// The changes that requests to a model need.
    pub(crate) fn of(&self, model: &str) -> Vec<Change> {
        let mut models = self.lock();
        let Some(remembered) = models.get_mut(model) else {
            return Vec::new();
        };
        remembered.retain(|one| one.since.elapsed() < self.lasts);
        if remembered.is_empty() {
            models.remove(model);
            return Vec::new();
        }
        remembered.iter().map(|one| one.change.clone()).collect()
    }

    /// Remembers a change after which a model has answered.
    pub(crate) fn learn(&self, model: &str, change: &Change) -> Learned {
        let lasts = self.lasts;
        let mut models = self.lock();
        if !models.contains_key(model) && models.len() >= MAX_MODELS {
            models.retain(|_, all| all.iter().any(|one| one.since.elapsed() < lasts));
            if models.len() >= MAX_MODELS {
                return Learned::New;
            }
        }
        let remembered = models.entry(model.to_owned()).or_default();
        if remembered.iter().any(|one| one.change == *change) {
            return Learned::Known;
        }
        if remembered.len() < MAX_CHANGES && !lasts.is_zero() {
            let since = Instant::now();
            let change = change.clone();
            remembered.push(Remembered { change, since });
        }
        Learned::New
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Remembered>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drops(name: &str) -> Change {
        Change::Drop(vec![name.to_owned()])
    }

    #[tokio::test(start_paused = true)]
    async fn a_finding_is_remembered_for_its_model_and_time() {
        let memory = ParameterMemory::new(Duration::from_secs(10));
        assert_eq!(memory.learn("a", &drops("seed")), Learned::New);
        assert_eq!(memory.learn("a", &drops("seed")), Learned::Known);
        assert_eq!(memory.of("a"), [drops("seed")]);
        assert_eq!(memory.of("b"), []);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(memory.of("a"), []);
        let none = ParameterMemory::new(Duration::ZERO);
        assert_eq!(none.learn("a", &drops("seed")), Learned::New);
        assert_eq!(none.of("a"), []);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_in_models_and_parameters() {
        let memory = ParameterMemory::new(Duration::from_secs(10));
        for model in 0..10 * MAX_MODELS {
            memory.learn(&model.to_string(), &drops("seed"));
        }
        for parameter in 0..10 * MAX_CHANGES {
            memory.learn("0", &drops(&parameter.to_string()));
        }
        assert_eq!(memory.lock().len(), MAX_MODELS);
        assert_eq!(memory.of("0").len(), MAX_CHANGES);
        tokio::time::advance(Duration::from_secs(10)).await;
        memory.learn("new", &drops("seed"));
        assert_eq!(memory.lock().len(), 1);
    }
}
