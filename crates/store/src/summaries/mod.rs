//! Summaries of messages that models are no longer shown. They are written with the event that
//! announces them ([`super::EventLog::append_events`]).

pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;

use super::StoreError;
use super::pools::Pools;
use crate::summaries::rows::SummaryRow;
use talkgraph_domain::{MessageId, Principal, Summary};

/// The number of summaries that a session keeps, the newest: one for each branch that a client is
/// likely to return to.
pub(crate) const KEPT_SUMMARIES: u32 = 8;

/// Summaries of branches.
#[async_trait]
pub trait SummaryStore: Send + Sync {
    /// The summary that covers most of the branch up to `head`, possibly all of it; always one of a
    /// message of that branch.
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
