//! Limits on open sockets and event streams, counted by tokens. Dropping a token, for any reason,
//! decrements the count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use talkgraph_domain::Principal;

/// The counts of open sockets and streams.
#[derive(Debug, Default)]
pub struct OpenStreams {
    sockets: watch::Sender<usize>,
    streams: watch::Sender<usize>,
    /// Contains only callers with a socket.
    sockets_of: Mutex<HashMap<Principal, usize>>,
    /// Contains only callers with a stream.
    streams_of: Mutex<HashMap<Principal, usize>>,
}

/// An open event stream, or an active operation on a socket.
#[derive(Debug)]
pub(super) struct StreamToken {
    open: Arc<OpenStreams>,
    /// The caller, if the stream counts towards its limit.
    who: Option<Principal>,
}

/// An open socket.
#[derive(Debug)]
pub(super) struct SocketToken {
    open: Arc<OpenStreams>,
    /// The caller, once known.
    who: Option<Principal>,
}

impl OpenStreams {
    /// Counts a stream.
    pub(super) fn stream(self: &Arc<Self>) -> StreamToken {
        self.streams.send_modify(|streams| *streams += 1);
        StreamToken {
            open: Arc::clone(self),
            who: None,
        }
    }

    /// Counts a stream of this caller, unless it already has `limit`.
    pub(super) fn stream_of(
        self: &Arc<Self>,
        who: &Principal,
        limit: usize,
    ) -> Option<StreamToken> {
        if !take(&self.streams_of, who, limit) {
            return None;
        }
        let mut token = self.stream();
        token.who = Some(who.clone());
        Some(token)
    }

    /// Counts a socket, unless there are already `limit`.
    pub(super) fn socket(self: &Arc<Self>, limit: usize) -> Option<SocketToken> {
        let is_free = self.sockets.send_if_modified(|sockets| {
            let is_free = *sockets < limit;
            *sockets += usize::from(is_free);
            is_free
        });
        is_free.then(|| SocketToken {
            open: Arc::clone(self),
            who: None,
        })
    }

    /// Returns the number of event streams, without operations of sockets.
    pub(super) fn event_streams(&self) -> usize {
        lock(&self.streams_of).values().sum()
    }

    pub(super) fn sockets(&self) -> usize {
        *self.sockets.borrow()
    }

    pub(super) fn streams(&self) -> usize {
        *self.streams.borrow()
    }

    /// Waits until no stream is open.
    pub(crate) async fn streams_ended(&self) {
        // Fails only without a sender, which `self` holds.
        let _ = self.streams.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Waits until no socket is open.
    pub(crate) async fn sockets_closed(&self) {
        // Fails only without a sender, which `self` holds.
        let _ = self.sockets.subscribe().wait_for(|open| *open == 0).await;
    }
}

type Counts = Mutex<HashMap<Principal, usize>>;

fn lock(counts: &Counts) -> MutexGuard<'_, HashMap<Principal, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Increments the caller's count; returns false if it is already `limit`.
fn take(counts: &Counts, who: &Principal, limit: usize) -> bool {
    let mut counts = lock(counts);
    let count = counts.get(who).copied().unwrap_or(0);
    if count >= limit {
        return false;
    }
    counts.insert(who.clone(), count + 1);
    true
}

fn give_back(counts: &Counts, who: &Principal) {
    let mut counts = lock(counts);
    if let Some(count) = counts.get_mut(who) {
        *count -= 1;
        if *count == 0 {
            counts.remove(who);
        }
    }
}

impl SocketToken {
    /// Counts the socket towards its caller's limit; returns false if the caller already has
    /// `limit`.
    pub(super) fn assign(&mut self, who: &Principal, limit: usize) -> bool {
        let is_free = take(&self.open.sockets_of, who, limit);
        if is_free {
            self.who = Some(who.clone());
        }
        is_free
    }
}

impl Drop for StreamToken {
    fn drop(&mut self) {
        if let Some(who) = self.who.take() {
            give_back(&self.open.streams_of, &who);
        }
        self.open.streams.send_modify(|streams| *streams -= 1);
    }
}

impl Drop for SocketToken {
    fn drop(&mut self) {
        if let Some(who) = self.who.take() {
            give_back(&self.open.sockets_of, &who);
        }
        self.open.sockets.send_modify(|sockets| *sockets -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_its_token_is_dropped() {
        let open = Arc::new(OpenStreams::default());
        let (ann, bob) = (
            Principal::new("t", "ann", "a"),
            Principal::new("t", "bob", "b"),
        );
        let mut first = open.socket(2).unwrap();
        let mut second = open.socket(2).unwrap();
        assert!(open.socket(2).is_none());
        assert!(first.assign(&ann, 1));
        assert!(!second.assign(&ann, 1));
        assert!(second.assign(&bob, 1));
        drop(first);
        assert!(!lock(&open.sockets_of).contains_key(&ann));
        assert!(open.socket(2).unwrap().assign(&ann, 1));
        drop(second);
        assert!(lock(&open.sockets_of).is_empty());
        assert_eq!(open.sockets(), 0);
        let (of_socket, of_ann) = (open.stream(), open.stream_of(&ann, 1));
        assert!(open.stream_of(&ann, 1).is_none());
        assert_eq!(open.streams(), 2);
        drop((of_socket, of_ann));
        assert_eq!(open.streams(), 0);
        assert!(open.stream_of(&ann, 1).is_some());
    }
}
