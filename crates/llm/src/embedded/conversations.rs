//! A cache of the most recent conversations, so that a next turn reads only the new part.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::EmbeddedError;
use super::kv::{KvCache, KvShape};

/// The maximum memory of all cached conversations; the oldest are dropped first. One conversation
/// of 2,048 tokens has 94 MB, a short chat 12 MB.
const KEPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The caches of conversations without an active answer.
pub(crate) struct Conversations {
    shape: KvShape,
    kept_max: usize,
    /// Oldest first.
    kept: Mutex<VecDeque<KvCache>>,
}

impl Conversations {
    /// Keeps at most `kept_max` conversations; none if that is 0.
    pub(crate) fn new(shape: KvShape, kept_max: usize) -> Self {
        Self {
            shape,
            kept_max,
            kept: Mutex::default(),
        }
    }

    /// A cache with the longest known prefix of `prompt`, possibly empty, and never all of it: the
    /// last token must be read again to predict its successor.
    pub(crate) fn take(&self, prompt: &[u32]) -> Result<KvCache, EmbeddedError> {
        let mut kept = self.lock();
        let longest = kept
            .iter()
            .enumerate()
            .map(|(index, cache)| (common_prefix(cache.tokens(), prompt), index))
            .max();
        let Some((common, index)) = longest.filter(|(common, _)| *common > 0) else {
            return Ok(KvCache::new(self.shape));
        };
        let common = common.min(prompt.len().saturating_sub(1));
        // Mostly shared: an earlier turn of this conversation, which is not needed any more.
        // Otherwise another conversation with the same instructions, which stays.
        let is_own = |cache: &KvCache| common >= cache.tokens().len() / 4 * 3;
        if kept.get(index).is_some_and(is_own)
            && let Some(mut cache) = kept.remove(index)
        {
            cache.truncate(common);
            return Ok(cache);
        }
        match kept.get(index) {
            Some(cache) => cache.copy_prefix(common),
            None => Ok(KvCache::new(self.shape)),
        }
    }

    /// Stores a conversation as the most recent one.
    pub(crate) fn put(&self, cache: KvCache) {
        let mut kept = self.lock();
        kept.push_back(cache);
        while kept.len() > self.kept_max || bytes(&kept) > KEPT_BYTES_MAX {
            if kept.pop_front().is_none() {
                break;
            }
        }
    }

    /// Ignores poisoning: the queue is consistent between any two statements.
    fn lock(&self) -> MutexGuard<'_, VecDeque<KvCache>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(kept: &VecDeque<KvCache>) -> usize {
    kept.iter().map(KvCache::bytes).sum()
}

fn common_prefix(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: KvShape = KvShape {
        layers: 1,
        heads: 1,
        head_dim: 2,
        context_tokens: 1024,
    };

    fn cache(tokens: &[u32]) -> KvCache {
        let mut cache = KvCache::new(SHAPE);
        cache.reserve(tokens.len()).unwrap();
        cache.commit(tokens);
        cache
    }

    #[test]
    fn the_longest_beginning_wins_and_the_last_token_is_left_to_read() {
        let known = Conversations::new(SHAPE, 4);
        known.put(cache(&[1, 2]));
        known.put(cache(&[1, 2, 3, 4]));
        known.put(cache(&[9]));
        assert_eq!(known.take(&[1, 2, 3, 4, 5]).unwrap().tokens(), [1, 2, 3, 4]);
        assert_eq!(known.take(&[1, 2]).unwrap().tokens(), [1]);
        assert!(known.take(&[7, 8]).unwrap().tokens().is_empty());
    }

    #[test]
    fn another_conversation_with_the_same_instructions_is_copied_not_taken() {
        let known = Conversations::new(SHAPE, 4);
        let long: Vec<u32> = (0..100).collect();
        known.put(cache(&long));
        assert_eq!(known.take(&[0, 1, 2, 77]).unwrap().tokens(), [0, 1, 2]);
        assert_eq!(known.take(&long).unwrap().tokens().len(), 99);
    }

    #[test]
    fn oldest_conversation_is_dropped_above_the_limit() {
        let known = Conversations::new(SHAPE, 2);
        for token in 1..=3 {
            known.put(cache(&[token, token]));
        }
        assert!(known.take(&[1, 1]).unwrap().tokens().is_empty());
        assert_eq!(known.take(&[3, 3]).unwrap().tokens(), [3]);
        let none = Conversations::new(SHAPE, 0);
        none.put(cache(&[5, 5]));
        assert!(none.take(&[5, 5]).unwrap().tokens().is_empty());
    }
}
