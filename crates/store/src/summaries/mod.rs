//! Summaries of what models are no longer shown. They are written with the event that tells
//! of them ([`super::EventLog::append_events`]).

pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;

use super::StoreError;
use super::pools::Pools;
use crate::summaries::rows::SummaryRow;
use talkgraph_domain::{MessageId, Principal, Summary};

/// How many summaries a session keeps, the newest: one for each branch that somebody is likely
/// to go back to.
pub(crate) const KEPT_SUMMARIES: u32 = 8;

/// Summaries of branches.
#[async_trait]
pub trait SummaryStore: Send + Sync {
    /// The summary that covers most of the branch up to `head`, which it may cover whole; never
    /// one of a message that is not in that branch.
    async fn summary_of_branch(
        &self,
        who: &Principal,
        head: MessageId,
    ) -> Result<Option<Summary>, StoreError>;
}

#[async_trait]
impl<S: Pools> SummaryStore for S {
    async fn summary_of_branch(
        &self,
        who: &Principal,
        head: MessageId,
    ) -> Result<Option<Summary>, StoreError> {
        let rows: Vec<SummaryRow> = self.read(sql::summary_of_branch(who, head)).await?;
        Ok(rows.into_iter().next().map(Summary::from))
    }
}
