//! Changes of sessions, for subscribers that wait for a session's next run or show a list of
//! sessions.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{broadcast, watch};

use talkgraph_domain::{Interrupt, InterruptId, Principal, SessionId};

/// The number of changes that a subscriber to an owner's sessions may be behind.
const CHANGES: usize = 256;

/// The number of channels above which unused ones are searched for.
const FEW: usize = 64;

/// Publishes changes of sessions within this process.
#[derive(Default)]
pub struct ChangeFeed {
    sessions: Mutex<Watched<SessionId, watch::Sender<()>>>,
    owners: Mutex<Watched<Owner, broadcast::Sender<SessionId>>>,
    interrupts: Mutex<Watched<Owner, broadcast::Sender<InterruptId>>>,
}

/// Tenant and owner.
type Owner = (Arc<str>, Arc<str>);

/// Channels with receivers, by name.
struct Watched<K, S> {
    channels: HashMap<K, S>,
    /// The number of names at which the unused ones are removed.
    clean_at: usize,
}

impl<K, S> Default for Watched<K, S> {
    fn default() -> Self {
        Self {
            channels: HashMap::new(),
            clean_at: FEW,
        }
    }
}

impl<K: Hash + Eq, S> Watched<K, S> {
    fn channel(&mut self, name: K, is_used: fn(&S) -> bool, new: fn() -> S) -> &S {
        if self.channels.len() >= self.clean_at {
            self.channels.retain(|_, channel| is_used(channel));
            self.clean_at = FEW.max(2 * self.channels.len());
        }
        self.channels.entry(name).or_insert_with(new)
    }
}

impl ChangeFeed {
    /// Announces a committed change of a session: a run of it started, began or ended, or the
    /// session itself changed.
    pub fn announce(&self, who: &Principal, session: SessionId) {
        if let Some(channel) = locked(&self.sessions).channels.get(&session) {
            channel.send_replace(());
        }
        let owner = (Arc::clone(&who.tenant), Arc::clone(&who.owner));
        if let Some(channel) = locked(&self.owners).channels.get(&owner) {
            // The receivers may be gone.
            let _ = channel.send(session);
        }
    }

    /// Announces that interrupts of an owner's runs were requested or resolved, which is committed.
    pub fn announce_interrupts<'i>(
        &self,
        who: &Principal,
        interrupts: impl IntoIterator<Item = &'i Interrupt>,
    ) {
        let owner = (Arc::clone(&who.tenant), Arc::clone(&who.owner));
        if let Some(channel) = locked(&self.interrupts).channels.get(&owner) {
            for interrupt in interrupts {
                // The receivers may be gone.
                let _ = channel.send(interrupt.id);
            }
        }
    }

    /// Subscribes to requested and resolved interrupts of an owner.
    pub fn of_interrupts(&self, who: &Principal) -> broadcast::Receiver<InterruptId> {
        let mut interrupts = locked(&self.interrupts);
        let owner = (Arc::clone(&who.tenant), Arc::clone(&who.owner));
        let is_used = |channel: &broadcast::Sender<InterruptId>| channel.receiver_count() > 0;
        let channel = interrupts.channel(owner, is_used, || broadcast::Sender::new(CHANGES));
        channel.subscribe()
    }

    /// Subscribes to the changes of a session.
    pub fn of_session(&self, session: SessionId) -> watch::Receiver<()> {
        let mut sessions = locked(&self.sessions);
        let is_used = |channel: &watch::Sender<()>| channel.receiver_count() > 0;
        let channel = sessions.channel(session, is_used, || watch::Sender::new(()));
        channel.subscribe()
    }

    /// Subscribes to the changes of an owner's sessions.
    pub fn of_owner(&self, who: &Principal) -> broadcast::Receiver<SessionId> {
        let mut owners = locked(&self.owners);
        let owner = (Arc::clone(&who.tenant), Arc::clone(&who.owner));
        let is_used = |channel: &broadcast::Sender<SessionId>| channel.receiver_count() > 0;
        let channel = owners.channel(owner, is_used, || broadcast::Sender::new(CHANGES));
        channel.subscribe()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_subscribers_are_notified_and_unused_channels_removed() {
        let news = ChangeFeed::default();
        let (ann, bob) = (
            Principal::new("acme", "ann", "test"),
            Principal::new("acme", "bob", "test"),
        );
        let session = SessionId::new();
        let mut of_session = news.of_session(session);
        let (mut anns, mut bobs) = (news.of_owner(&ann), news.of_owner(&bob));
        news.announce(&ann, session);
        assert!(of_session.has_changed().unwrap());
        of_session.mark_unchanged();
        assert_eq!(anns.recv().await.unwrap(), session);
        assert!(bobs.try_recv().is_err());
        for _ in 0..10 * FEW {
            drop(news.of_session(SessionId::new()));
        }
        assert!(locked(&news.sessions).channels.len() <= FEW);
        news.announce(&ann, session);
        assert!(of_session.has_changed().unwrap(), "still watched");
    }
}
