//! Takes the database away again and again.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use crate::servers::Servers;
use crate::support::chaos::{Chaos, Network};
use crate::support::outage::Outage;

/// The ways for SQLite to be away.
pub(crate) fn of_sqlite(servers: &Servers) -> Vec<Outage> {
    let process = servers.process(0);
    vec![
        Outage::locked(&servers.database()),
        Outage::Full { process },
    ]
}

/// The ways for PostgreSQL to be away.
pub(crate) fn of_postgres(chaos: &Arc<Chaos>) -> Vec<Outage> {
    [Network::Cut, Network::Stalled, Network::Deaf]
        .map(|network| Outage::Network(Arc::clone(chaos), network))
        .into()
}

/// Lets the database be away so many times, with time to recover in between or hardly any.
pub(crate) async fn take_away(rng: &mut Rng, outages: &mut [Outage], times: usize) {
    for _ in 0..times {
        sleep(Duration::from_millis(rng.u64(0..600).saturating_sub(200))).await;
        let which = rng.usize(..outages.len());
        outages[which].begin().await;
        sleep(Duration::from_millis(rng.u64(1..1_000))).await;
        outages[which].end().await;
    }
}
