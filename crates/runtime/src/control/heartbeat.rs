//! The heartbeat: a server renews the leases of its runs, so that no other takes them over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use talkgraph_bus::Bus;
use talkgraph_domain::NodeId;
use talkgraph_domain::time::span;
use talkgraph_store::{SharedStore, StoreError};

use crate::control::restart_queue::Held;
use crate::run::store_retry::log_store_error;

/// Renews the leases of this node's runs, and does nothing else: nothing slow delays it.
pub struct Heartbeat {
    pub(crate) store: SharedStore,
    pub(crate) bus: Arc<Bus>,
    pub(crate) held: Arc<Held>,
    /// Set while housekeeping has runs that are neither live nor held.
    pub(crate) has_backlog: Arc<AtomicBool>,
    pub(crate) node: NodeId,
    pub(crate) lease: Duration,
    /// Reports each beat, with the number of database failures before it.
    pub(crate) beats: watch::Sender<u64>,
}

impl Heartbeat {
    /// Renews the leases three times within each, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.lease / 3);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let failures = self.store.health().outage().total();
            if let Err(error) = self.renew().await {
                log_store_error(&self.store, &error, "leases were not renewed");
            }
            // Without housekeeping the leases are renewed all the same.
            let _ = self.beats.send(failures);
        }
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let has_backlog = self.has_backlog.load(Ordering::Acquire);
        if !has_backlog && self.bus.is_empty() && self.held.len() == 0 {
            return Ok(());
        }
        self.store.renew_leases(self.node, span(self.lease)).await
    }
}
