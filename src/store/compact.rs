//! Removes the events of a run's making from its log, in one transaction of either database.

use sqlx::{Database, Executor, IntoArguments, QueryBuilder};

use crate::domain::time::Timestamp;
use crate::domain::{EventBody, Principal, RunEvent, RunId};

use super::StoreError;
use super::log_rows::encode_events;
use super::queries::{self, Dialect};

/// A log, as the transaction on this connection sees it.
pub(crate) struct Log<'c, DB: Database>(pub(crate) &'c mut DB::Connection);

impl<DB> Log<'_, DB>
where
    DB: Dialect,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB: RowsAffected,
{
    /// Does what [`super::EventLog::compact_log`] says.
    pub(crate) async fn compact(
        &mut self,
        who: &Principal,
        run: RunId,
        kept: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut mark = queries::mark_compacted::<DB>(run, at);
        let marked = mark.build().execute(&mut *self.0).await?;
        let Some(first) = kept.first().filter(|first| first.sequence > 1) else {
            return Ok(());
        };
        if DB::rows_affected(&marked) == 0 {
            return Ok(());
        }
        self.run(queries::delete_log(run)).await?;
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
        self.run(queries::insert_log_row(who, run, range, &removed_row))
            .await?;
        let range = (first.sequence, last);
        self.run(queries::insert_log_row(who, run, range, &kept_row))
            .await
    }

    async fn run(&mut self, mut query: QueryBuilder<DB>) -> Result<(), StoreError> {
        query.build().execute(&mut *self.0).await?;
        Ok(())
    }
}

/// How many rows a statement has changed.
pub(crate) trait RowsAffected: Database {
    fn rows_affected(result: &Self::QueryResult) -> u64;
}

impl RowsAffected for sqlx::Sqlite {
    fn rows_affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }
}

impl RowsAffected for sqlx::Postgres {
    fn rows_affected(result: &Self::QueryResult) -> u64 {
        result.rows_affected()
    }
}
