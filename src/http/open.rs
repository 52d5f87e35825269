//! What is open: event streams, counted by tokens that whoever holds one open keeps. A token
//! that is dropped, however that comes about, counts down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Principal;

/// How many streams are open.
#[derive(Debug, Default)]
pub struct OpenStreams {
    /// Only callers that have a stream.
    streams_of: Mutex<HashMap<Principal, usize>>,
}

/// An open event stream.
#[derive(Debug)]
pub(super) struct StreamToken {
    open: Arc<OpenStreams>,
    who: Principal,
}

impl OpenStreams {
    /// One more stream of this caller, unless it has `limit`.
    pub(super) fn stream_of(
        self: &Arc<Self>,
        who: &Principal,
        limit: usize,
    ) -> Option<StreamToken> {
        let mut streams_of = self.streams_of();
        let streams = streams_of.get(who).copied().unwrap_or(0);
        if streams >= limit {
            return None;
        }
        streams_of.insert(who.clone(), streams + 1);
        Some(StreamToken {
            open: Arc::clone(self),
            who: who.clone(),
        })
    }

    /// The streams of all callers.
    pub(super) fn streams(&self) -> usize {
        self.streams_of().values().sum()
    }

    fn streams_of(&self) -> MutexGuard<'_, HashMap<Principal, usize>> {
        self.streams_of
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamToken {
    fn drop(&mut self) {
        let mut streams_of = self.open.streams_of();
        if let Some(streams) = streams_of.get_mut(&self.who) {
            *streams -= 1;
            if *streams == 0 {
                streams_of.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_its_token_is_dropped() {
        let open = Arc::new(OpenStreams::default());
        let ann = Principal::new("t", "ann", "a");
        let bob = Principal::new("t", "bob", "b");
        let first = open.stream_of(&ann, 1);
        assert!(first.is_some());
        assert!(open.stream_of(&ann, 1).is_none());
        let other = open.stream_of(&bob, 1);
        assert!(other.is_some());
        assert_eq!(open.streams(), 2);
        drop(first);
        assert_eq!(open.streams(), 1);
        assert!(open.stream_of(&ann, 1).is_some());
        drop(other);
        assert!(open.streams_of().is_empty());
    }
}
