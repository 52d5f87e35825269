//! The difference between this machine's clock and the database's, which all nodes share.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use talkgraph_store::{SharedStore, StoreError};

/// The largest difference that is nothing to mention.
const TOLERATED: TimeDelta = TimeDelta::seconds(1);

/// The time for which an unchanged difference is not logged again.
const QUIET: Duration = Duration::from_secs(60);

/// The difference that was last logged.
#[derive(Default)]
pub(crate) struct ClockWatch(Option<(Instant, TimeDelta)>);

impl ClockWatch {
    /// Logs a difference between the clocks above a second: when it appears, when it changes,
    /// and otherwise once a minute.
    pub(crate) async fn check(&mut self, store: &SharedStore) -> Result<(), StoreError> {
        let Some(ahead) = store.clock_ahead().await? else {
            return Ok(());
        };
        let now = Instant::now();
        if !self.is_news(ahead, now) {
            return Ok(());
        }
        self.note(ahead, now);
        let ahead_ms = ahead.num_milliseconds();
        match ahead.abs() > TOLERATED {
            true => tracing::warn!(
                ahead_ms,
                "this machine's clock differs from the database's; leases go by the database's"
            ),
            false => tracing::info!(ahead_ms, "this machine's clock is right again"),
        }
        Ok(())
    }

    /// Returns true when a difference is to be logged now.
    fn is_news(&self, ahead: TimeDelta, now: Instant) -> bool {
        match self.0 {
            None => ahead.abs() > TOLERATED,
            Some((at, logged)) => {
                let is_other = (ahead - logged).abs() > TOLERATED;
                is_other || (ahead.abs() > TOLERATED && now.duration_since(at) >= QUIET)
            }
        }
    }

    fn note(&mut self, ahead: TimeDelta, now: Instant) {
        self.0 = (ahead.abs() > TOLERATED).then_some((now, ahead));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_news_once_a_minute_and_when_it_changes() {
        let (mut watch, begun) = (ClockWatch::default(), Instant::now());
        let seconds = TimeDelta::seconds;
        assert!(!watch.is_news(seconds(-1), begun));
        assert!(watch.is_news(seconds(-60), begun));
        watch.note(seconds(-60), begun);
        assert!(!watch.is_news(seconds(-60), begun + QUIET / 2));
        assert!(watch.is_news(seconds(-60), begun + QUIET));
        assert!(watch.is_news(seconds(3), begun));
        assert!(watch.is_news(seconds(0), begun), "it is right again");
        watch.note(seconds(0), begun);
        assert!(!watch.is_news(seconds(0), begun + QUIET));
    }
}
