//! Messages and their branches.

pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;

use super::StoreError;
use super::pools::Pools;
use crate::messages::rows::{MessageRow, SiblingRow, by_siblings};
use crate::rows::all;
use talkgraph_domain::{Message, MessageId, Principal, SessionId};

/// The position of a message whose run is enqueued: it is not in the tree yet.
pub const UNPLACED: i32 = -1;

/// The number of messages whose bytes are not counted before they are read: a page of one session,
/// the usual request of clients.
pub const UNCOUNTED: i64 = 20;

/// The largest number of messages in the ranges.
pub fn wanted(ranges: &[BranchRange]) -> i64 {
    let lengths = ranges
        .iter()
        .map(|range| i64::from(range.to) - i64::from(range.from));
    lengths.sum()
}

/// A stretch of a branch: the messages at positions `from..to`, walking up from `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BranchRange {
    /// The session.
    pub session: SessionId,
    /// The branch's last message, or another one after the range.
    pub head: MessageId,
    /// The first position wanted.
    pub from: i32,
    /// The position after the last one wanted.
    pub to: i32,
}

/// Messages with one parent, identified by one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Siblings {
    /// The messages with the same parent as this message, itself included; without a parent, the
    /// first messages of its session.
    Of(MessageId),
    /// The messages whose parent is this message.
    Below(MessageId),
}

/// Messages.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// The messages with these ids, in no particular order; those of deleted sessions are
    /// left out.
    async fn messages_by_id(
        &self,
        who: &Principal,
        ids: &[MessageId],
    ) -> Result<Vec<Message>, StoreError>;

    /// Reads several branches in one statement. Answers in the order of `ranges`, each
    /// oldest first.
    ///
    /// # Errors [`StoreError::TooLarge`] if more than [`UNCOUNTED`] messages are requested and
    /// their parts exceed `most` bytes. Memory is bounded by that limit.
    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
        most: u64,
    ) -> Result<Vec<Vec<Message>>, StoreError>;

    /// The ids of the latest `limit` messages of each set of siblings, in one statement; the
    /// siblings of a message always include it. Answers in the order of `of`, each oldest first.
    async fn siblings(
        &self,
        who: &Principal,
        of: &[Siblings],
        limit: u32,
    ) -> Result<Vec<Vec<MessageId>>, StoreError>;
}

#[async_trait]
impl<S: Pools> MessageStore for S {
    async fn messages_by_id(
        &self,
        who: &Principal,
        ids: &[MessageId],
    ) -> Result<Vec<Message>, StoreError> {
        all::<MessageRow, _>(self.read(sql::messages_by_id(who, ids)).await?)
    }

    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
        most: u64,
    ) -> Result<Vec<Vec<Message>>, StoreError> {
        match ranges.is_empty() {
            true => Ok(Vec::new()),
            false => self.read_branches(who, ranges, most).await,
        }
    }

    async fn siblings(
        &self,
        who: &Principal,
        of: &[Siblings],
        limit: u32,
    ) -> Result<Vec<Vec<MessageId>>, StoreError> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<SiblingRow> = self.read(sql::siblings(who, of, limit)).await?;
        Ok(by_siblings(rows, of))
    }
}
