//! Messages and the branches that they are on.

pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;

use super::StoreError;
use super::pools::Pools;
use crate::messages::rows::{KinRow, MessageRow, by_kin};
use crate::rows::all;
use talkgraph_domain::{Message, MessageId, Principal, SessionId};

/// The position of a message whose run waits for its turn: it is not in the tree yet.
pub const UNPLACED: i32 = -1;

/// The number of messages whose bytes are not counted before they are read: a page of one
/// session, which is what most clients ask for.
pub const UNCOUNTED: i64 = 20;

/// Returns the number of messages that the ranges have at most.
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
    /// The branch's last message, or a later one of the branch than are wanted.
    pub head: MessageId,
    /// The first position wanted.
    pub from: i32,
    /// The position after the last one wanted.
    pub to: i32,
}

/// Messages that have one parent, told by one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kin {
    /// Those with the same parent as this message, itself included; those without a parent
    /// are the first messages of its session.
    Beside(MessageId),
    /// Those with this message as their parent.
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
    /// # Errors
    /// [`StoreError::TooLarge`] when more than [`UNCOUNTED`] messages are asked for and their
    /// parts have more than `most` bytes. No more than that is then in memory.
    async fn branches(
        &self,
        who: &Principal,
        ranges: &[BranchRange],
        most: u64,
    ) -> Result<Vec<Vec<Message>>, StoreError>;

    /// The ids of the latest `limit` of each kin, in one statement; of those beside a message
    /// that message is always one. Answers in the order of `kin`, each oldest first.
    async fn kin(
        &self,
        who: &Principal,
        kin: &[Kin],
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

    async fn kin(
        &self,
        who: &Principal,
        kin: &[Kin],
        limit: u32,
    ) -> Result<Vec<Vec<MessageId>>, StoreError> {
        if kin.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<KinRow> = self.read(sql::kin(who, kin, limit)).await?;
        Ok(by_kin(rows, kin))
    }
}
