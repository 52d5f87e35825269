//! Retries while the database is unavailable.

use std::time::Duration;

use tokio::time::Instant;

use talkgraph_resilience::Backoff;
use talkgraph_store::{SharedStore, StoreError};

/// The pauses between attempts. The first is short, so that a run continues soon after the
/// database is back; each further one is twice as long.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// The number of the next retry of one operation, from 1.
pub(crate) struct StoreBackoff(u32);

impl StoreBackoff {
    pub(crate) fn new() -> Self {
        Self(1)
    }

    /// Waits until the next attempt. A wait that is dropped does not count.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(BACKOFF.bound(self.0)).await;
        self.0 = self.0.saturating_add(1);
    }
}

/// Logs a failure of the server's own work. An unavailable database is reported once for all of
/// them (`Outage`).
pub(crate) fn log_store_error(store: &SharedStore, error: &StoreError, failed: &'static str) {
    match store.health().outage().note(error) {
        true => tracing::debug!(%error, "{failed}"),
        false => tracing::error!(%error, "{failed}"),
    }
}

/// Retries a store operation for at most `limit` while the database is unavailable.
pub(crate) async fn retry_while_unavailable<T, F>(
    limit: Duration,
    ask: impl Fn() -> F + Send,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>> + Send,
{
    let deadline = Instant::now() + limit;
    let mut pauses = StoreBackoff::new();
    loop {
        match ask().await {
            Err(StoreError::Unavailable(_)) if Instant::now() < deadline => pauses.pause().await,
            asked => return asked,
        }
    }
}
