//! Compacts the log of an ended run, in one transaction of either database.

use sqlx::{Database, QueryBuilder};

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{EventBody, Principal, RunEvent, RunId};

use super::rows::encode_events;
use super::sql;
use crate::StoreError;
use crate::dialect::Dialect;

/// A log, read in the transaction of this connection.
pub(crate) struct Log<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB: Dialect> Log<'_, DB> {
    /// Implements [`super::EventLog::compact_log`].
    pub(crate) async fn compact(
        &mut self,
        who: &Principal,
        run: RunId,
        kept: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let marked = DB::execute(self.0, sql::mark_compacted(run, at)).await?;
        let Some(first) = kept.first().filter(|first| first.sequence > 1) else {
            return Ok(());
        };
        if marked == 0 {
            return Ok(());
        }
        self.run(sql::delete_log(run)).await?;
        let removed = RunEvent {
            run_id: run,
            sequence: first.sequence - 1,
            first_sequence: 1,
            at: first.at,
            body: EventBody::LogCompacted,
        };
        let last = first.sequence + kept.len() as u64 - 1;
        let kept: Vec<_> = kept.iter().collect();
        let (removed_row, kept_row) = (encode_events(&[&removed])?, encode_events(&kept)?);
        let range = (1, removed.sequence);
        self.run(sql::insert_log_row(who, run, range, &removed_row))
            .await?;
        let range = (first.sequence, last);
        self.run(sql::insert_log_row(who, run, range, &kept_row))
            .await
    }

    async fn run(&mut self, query: QueryBuilder<DB>) -> Result<(), StoreError> {
        DB::execute(self.0, query).await?;
        Ok(())
    }
}
