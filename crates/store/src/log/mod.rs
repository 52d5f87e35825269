//! The event log of every run.

mod compact;
mod pieces;
mod rows;
pub(crate) mod sql;

use async_trait::async_trait;
use chrono::TimeDelta;

use super::StoreError;
use super::dialect::Dialect;
use super::pools::Pools;
use crate::commit::group::{NewEvents, Reply};
use crate::rows::owned;
use crate::runs::rows::RunRow;
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{Principal, Run, RunEvent, RunId};

use compact::Log;
pub(crate) use pieces::Packed;
pub(crate) use rows::{FOLLOWS_LOG, HAS_RUN, LogGroupRow, encode_events, log_end};
use rows::{append_following, decode_events};

/// The event log of every run.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Queues events for the next group commit and returns once they are in the queue. `done` is
    /// called after their commit, in the order of the queue, or with `Conflict` if they do not
    /// follow the run's log.
    async fn append_events(&self, events: NewEvents, done: Reply<()>) -> Result<(), StoreError>;

    /// The events of a run after `after`, in order, at most about `limit` (groups are
    /// returned whole).
    async fn events(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RunEvent>, StoreError>;

    /// Runs, at most `limit`, that ended before the time `before` from now, by the database's
    /// clock, and whose log is complete, with their principals.
    async fn runs_to_compact(
        &self,
        before: TimeDelta,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError>;

    /// Removes a run's log except `kept`, its last events, and records the time. One `LogCompacted`
    /// represents the removed events. A second call does nothing.
    async fn compact_log(
        &self,
        who: &Principal,
        run: RunId,
        kept: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: Pools> EventLog for S {
    async fn append_events(&self, events: NewEvents, done: Reply<()>) -> Result<(), StoreError> {
        self.writer().append(events, done).await
    }

    async fn events(
        &self,
        who: &Principal,
        run: RunId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RunEvent>, StoreError> {
        let rows: Vec<LogGroupRow> = self.read(sql::events(who, run, after, limit)).await?;
        let mut events = decode_events(run, rows, after)?;
        let last = events.last();
        let is_ended = last.is_some_and(|last| last.body.is_terminal());
        let after = last.map_or(after, |last| last.sequence);
        let limit = limit.saturating_sub(events.len().try_into().unwrap_or(u32::MAX));
        if is_ended || limit == 0 {
            return Ok(events);
        }
        if let Some(recent) = S::Db::recent_events(who, run, after, limit) {
            let recent: Vec<LogGroupRow> = self.read(recent).await?;
            // Between the two reads, rows may have moved from there to the log.
            let mut rows = self.read(sql::events(who, run, after, limit)).await?;
            append_following(&mut rows, recent);
            events.extend(decode_events(run, rows, after)?);
        }
        Ok(events)
    }

    async fn runs_to_compact(
        &self,
        before: TimeDelta,
        limit: u32,
    ) -> Result<Vec<(Principal, Run)>, StoreError> {
        owned::<RunRow, _>(self.read(sql::runs_to_compact(before, limit)).await?)
    }

    async fn compact_log(
        &self,
        who: &Principal,
        run: RunId,
        kept: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let compacted = async {
            let mut transaction = self.begin().await?;
            let mut log = Log::<S::Db>(&mut transaction);
            log.compact(who, run, kept, at).await?;
            transaction.commit().await?;
            Ok(())
        };
        self.in_time(compacted).await
    }
}
