//! Removal of the content of deleted sessions. A deletion commits a tombstone, which hides the
//! session from every reader at once; its rows are removed later, a bounded batch at a time.

pub(crate) mod sql;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::StoreError;
use super::dialect::{Dialect, fetch, first};
use super::pools::Pools;
use crate::messages::rows::MessageRow;
use crate::rows::all;
use crate::summaries;
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{FileId, Message, Part, Role, SessionId};

/// The most rows of one kind that one batch removes. A row of a log has some 16 KiB, so a batch
/// holds other writers up for milliseconds.
const BATCH: u32 = 64;

/// The most messages with files that one batch reads and removes, because of their size.
const MESSAGES: u32 = 8;

/// The state of a deleted session after a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// More of it may be left.
    More,
    /// Only its tombstone is left.
    Done,
    /// Runs of other sessions refer to its runs and have to be removed first, or another node is
    /// removing it.
    Blocked,
}

/// Deleted sessions and their content.
#[async_trait]
pub trait DeletionStore: Send + Sync {
    /// Deleted sessions, at most `limit`, that may have content left, the longest deleted first.
    async fn sessions_to_purge(&self, limit: u32) -> Result<Vec<SessionId>, StoreError>;

    /// Removes one batch of a deleted session's content, in one transaction.
    async fn purge_session(&self, session: SessionId, at: Timestamp) -> Result<Purge, StoreError>;

    /// Removes the tombstones, at most `limit`, of sessions that were purged before `before`.
    /// Returns their number.
    async fn forget_tombstones(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
}

#[async_trait]
impl<S: Pools> DeletionStore for S {
    async fn sessions_to_purge(&self, limit: u32) -> Result<Vec<SessionId>, StoreError> {
        let rows: Vec<(Uuid,)> = self.read(sql::sessions_to_purge(limit)).await?;
        Ok(rows.into_iter().map(|(id,)| id.into()).collect())
    }

    async fn purge_session(&self, session: SessionId, at: Timestamp) -> Result<Purge, StoreError> {
        let purged = async {
            let mut transaction = self.begin().await?;
            let mut batch = Batch::<S::Db> {
                connection: &mut transaction,
                session,
            };
            let purge = batch.remove(at).await?;
            transaction.commit().await?;
            Ok(purge)
        };
        self.in_time(purged).await
    }

    async fn forget_tombstones(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.execute(sql::forget_tombstones(before, limit)).await
    }
}

/// The transaction of one batch.
struct Batch<'c, DB: Dialect> {
    connection: &'c mut DB::Connection,
    session: SessionId,
}

impl<DB: Dialect> Batch<'_, DB> {
    async fn remove(&mut self, at: Timestamp) -> Result<Purge, StoreError> {
        let lock = sql::lock_tombstone::<DB>(self.session);
        let locked: Option<(Uuid,)> = first(self.connection, lock).await?;
        if locked.is_none() {
            return Ok(Purge::Blocked);
        }
        // Earlier releases have left active runs in deleted sessions.
        let ended = sql::end_runs_of_deleted(&[self.session], at);
        self.run(ended).await?;
        // Rows that refer to others are removed before them.
        self.run(summaries::sql::drop_summaries(self.session))
            .await?;
        if self.some(sql::purge_interrupts).await?
            || self.some(sql::purge_events).await?
            || self.recent_events().await?
            || self.messages_with_files(Role::User).await?
            || self.messages_with_files(Role::Assistant).await?
            || self.some(sql::purge_answers).await?
            || self.some(sql::purge_result_files).await?
            || self.keys().await?
            || self.some(sql::purge_runs).await?
        {
            return Ok(Purge::More);
        }
        let runs: Option<(Uuid,)> =
            first(self.connection, sql::any_run::<DB>(self.session)).await?;
        if runs.is_some() {
            return Ok(Purge::Blocked);
        }
        self.run(sql::mark_purged(self.session, at)).await?;
        Ok(Purge::Done)
    }

    /// Removes a batch of rows of one kind. True if there were any.
    async fn some(
        &mut self,
        query: impl FnOnce(SessionId, u32) -> sqlx::QueryBuilder<DB>,
    ) -> Result<bool, StoreError> {
        let removed = self.run(query(self.session, BATCH)).await?;
        Ok(removed > 0)
    }

    async fn recent_events(&mut self) -> Result<bool, StoreError> {
        match DB::purge_recent_events(self.session) {
            Some(query) => Ok(self.run(query).await? > 0),
            None => Ok(false),
        }
    }

    /// Removes messages with those of their files that no other session shows.
    async fn messages_with_files(&mut self, role: Role) -> Result<bool, StoreError> {
        let query = sql::messages_with_files::<DB>(self.session, role, MESSAGES);
        let messages: Vec<Message> = all(fetch::<DB, MessageRow>(self.connection, query).await?)?;
        for message in &messages {
            self.files(message).await?;
        }
        let ids = messages.iter().map(|message| message.id);
        Ok(!messages.is_empty() && self.run(sql::purge_messages(ids)).await? > 0)
    }

    async fn files(&mut self, message: &Message) -> Result<(), StoreError> {
        let files: Vec<FileId> = message.parts.iter().flat_map(files_of).collect();
        if files.is_empty() {
            return Ok(());
        }
        let query = sql::copies_elsewhere::<DB>(message);
        let copies: Vec<MessageRow> = fetch(self.connection, query).await?;
        let copies: Vec<Message> = all(copies)?;
        let shown: Vec<FileId> = copies
            .iter()
            .flat_map(|copy| copy.parts.iter().flat_map(files_of))
            .collect();
        let gone: Vec<_> = files.into_iter().filter(|id| !shown.contains(id)).collect();
        if !gone.is_empty() {
            self.run(sql::purge_files(&gone)).await?;
        }
        Ok(())
    }

    /// Replaces the names of idempotency keys, which clients choose, by digests: a key still
    /// refers to its run, which is not found any more.
    async fn keys(&mut self) -> Result<bool, StoreError> {
        let query = sql::named_keys::<DB>(self.session, BATCH);
        let keys: Vec<(String, String, String)> = fetch(self.connection, query).await?;
        for (tenant, owner, key) in &keys {
            let digest = digest_of_key(key);
            let name = (tenant.as_str(), owner.as_str());
            self.run(sql::forget_key(name, &digest)).await?;
            self.run(sql::rename_key(name, key, &digest)).await?;
        }
        Ok(!keys.is_empty())
    }

    async fn run(&mut self, query: sqlx::QueryBuilder<DB>) -> Result<u64, StoreError> {
        DB::execute(self.connection, query).await
    }
}

fn files_of(part: &Part) -> Vec<FileId> {
    match part {
        Part::File { id, .. } => vec![*id],
        Part::ToolResult(result) => result.files().map(|file| file.id).collect(),
        _ => Vec::new(),
    }
}

/// The prefix of a digest of a key.
pub(crate) const DIGEST_PREFIX: &str = "sha256:";

/// The length of a digest of a key with its prefix.
pub(crate) const DIGEST_LENGTH: u32 = 71;

/// The name of an idempotency key once the session of its run is deleted.
pub(crate) fn digest_of_key(key: &str) -> String {
    let mut digest = DIGEST_PREFIX.to_owned();
    for byte in Sha256::digest(key.as_bytes()) {
        use std::fmt::Write;
        // Writing to a string does not fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}
