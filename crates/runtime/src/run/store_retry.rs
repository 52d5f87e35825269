//! Waiting for a database that is away.

use std::time::Duration;

use tokio::time::Instant;

use talkgraph_store::{SharedStore, StoreError};

/// The first wait between two tries. Short, so that a run goes on soon after the database is back.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// No wait is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The waits between tries, each twice as long as the one before.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Waits until it is time for the next try. Dropped meanwhile, the wait does not count.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// Logs what has failed of the server's own work; while the database is away, that is said once
/// for everything (`Outage`).
pub(crate) fn log_trouble(store: &SharedStore, error: &StoreError, failed: &'static str) {
    match store.health().outage().note(error) {
        true => tracing::debug!(%error, "{failed}"),
        false => tracing::error!(%error, "{failed}"),
    }
}

/// Asks the database, and again for at most `patience` while it is away.
pub(crate) async fn patiently<T, F>(
    patience: Duration,
    ask: impl Fn() -> F + Send,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>> + Send,
{
    let deadline = Instant::now() + patience;
    let mut pauses = Pauses::new();
    loop {
        match ask().await {
            Err(StoreError::Unavailable(_)) if Instant::now() < deadline => pauses.pause().await,
            asked => return asked,
        }
    }
}
