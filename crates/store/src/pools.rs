//! The connections of a database, as all that both databases do alike has them.

use sqlx::{QueryBuilder, Transaction};

use super::dialect::{Dialect, Fetches};
use super::{BranchRange, SessionCursor, SessionFilter, StoreError};
use crate::commit::writer::Writer;
use crate::sessions::rows::SessionRow;
use talkgraph_domain::{Message, PageRequest, Principal};

/// A store's connections.
pub(crate) trait Pools: Send + Sync {
    /// The database.
    type Db: Dialect;

    /// Reads.
    fn read<R: Send>(
        &self,
        query: QueryBuilder<Self::Db>,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send
    where
        Self::Db: Fetches<R>;

    /// Writes with one statement. Returns what it returns.
    fn write<R: Send>(
        &self,
        query: QueryBuilder<Self::Db>,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send
    where
        Self::Db: Fetches<R>;

    /// Writes with one statement. Returns how many rows it has changed.
    fn execute(
        &self,
        query: QueryBuilder<Self::Db>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Reads a page of sessions, in the way that is quickest here.
    fn read_sessions(
        &self,
        who: &Principal,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> impl Future<Output = Result<Vec<SessionRow>, StoreError>> + Send;

    /// Reads stretches of branches, of which there is at least one, in the way that is quickest
    /// here. Answers as [`super::MessageStore::branches`] does.
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

    /// Waits for a transaction, but not for ever.
    fn in_time<T: Send>(
        &self,
        transaction: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// The group commit.
    fn writer(&self) -> &Writer;
}
