//! A bounded cache of two generations: cheap to use, and used entries stay.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// A cache. Used entries stay in the young generation or move to it. A full young generation
/// becomes the old one, and the remaining entries of the old one are dropped.
pub(super) struct Generations<V> {
    inner: Mutex<Inner<V>>,
    /// The total weight of one generation.
    weight: usize,
}

struct Inner<V> {
    young: HashMap<String, (V, usize)>,
    old: HashMap<String, (V, usize)>,
    young_weight: usize,
}

impl<V: Clone> Generations<V> {
    pub(super) fn new(weight: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                young: HashMap::new(),
                old: HashMap::new(),
                young_weight: 0,
            }),
            weight,
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<V> {
        self.with(|inner| inner.find(key, self.weight))
    }

    /// Stores a value with its weight; the total is at most that of two generations.
    pub(super) fn keep(&self, key: String, value: V, weight: usize) {
        if weight <= self.weight {
            self.with(|inner| inner.keep(key, (value, weight), self.weight));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner<V>) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<V: Clone> Inner<V> {
    fn find(&mut self, key: &str, most: usize) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = self.old.remove_entry(key)?;
        self.keep(key, (value.clone(), weight), most);
        Some(value)
    }

    fn keep(&mut self, key: String, entry: (V, usize), most: usize) {
        if let Some((_, replaced)) = self.young.remove(&key) {
            self.young_weight -= replaced;
        }
        if self.young_weight + entry.1 > most {
            self.old = mem::take(&mut self.young);
            self.young_weight = 0;
        }
        self.young_weight += entry.1;
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let cache = Generations::new(1_000);
        cache.keep("often".to_owned(), 1, 10);
        cache.keep("once".to_owned(), 2, 10);
        for n in 0..300 {
            cache.keep(format!("stranger {n}"), n, 10);
            if n % 20 == 0 {
                assert_eq!(cache.find("often"), Some(1));
            }
        }
        assert_eq!(cache.find("once"), None);
        let held = cache.with(|inner| inner.young.len() + inner.old.len());
        assert!(held <= 200, "{held}");
    }

    #[test]
    fn what_is_kept_twice_weighs_once() {
        let cache = Generations::new(100);
        cache.keep("other".to_owned(), 0, 10);
        for n in 0..50 {
            cache.keep("same".to_owned(), n, 40);
        }
        assert_eq!(cache.find("other"), Some(0));
        assert_eq!(cache.find("same"), Some(49));
        cache.keep("heavy".to_owned(), 0, 101);
        assert_eq!(cache.find("heavy"), None);
    }
}
