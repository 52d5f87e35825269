//! The connections of a store, for the code that both databases share.

use sqlx::{QueryBuilder, Transaction};

use super::dialect::{Dialect, Fetched};
use super::{BranchRange, SessionCursor, SessionFilter, StoreError};
use crate::commit::writer::Writer;
use crate::sessions::rows::SessionRow;
use talkgraph_domain::{Message, PageRequest, Principal};

/// A store's connections.
pub(crate) trait Pools: Send + Sync {
    /// The database.
    type Db: Dialect;

    /// Reads.
    fn read<R: Fetched>(
        &self,
        query: QueryBuilder<Self::Db>,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send;

    /// Writes with one statement. Returns its rows.
    fn write<R: Fetched>(
        &self,
        query: QueryBuilder<Self::Db>,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send;

    /// Writes with one statement. Returns the number of changed rows.
    fn execute(
        &self,
        query: QueryBuilder<Self::Db>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Reads a page of sessions, in the fastest way for the database.
    fn read_sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> impl Future<Output = Result<Vec<SessionRow>, StoreError>> + Send;

    /// Reads ranges of branches, at least one, in the fastest way for the database, for
    /// [`super::MessageStore::branches`].
    fn read_branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
        most: u64,
    ) -> impl Future<Output = Result<Vec<Vec<Message>>, StoreError>> + Send;

    /// Begins a transaction that writes.
    fn begin(
        &self,
    ) -> impl Future<Output = Result<Transaction<'static, Self::Db>, StoreError>> + Send;

    /// Waits for a transaction, for a bounded time.
    fn in_time<T: Send>(
        &self,
        transaction: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// The group commit.
    fn writer(&self) -> &Writer;
}
