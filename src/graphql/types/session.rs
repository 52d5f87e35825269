//! Sessions.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::agent::Agent;
use super::message::{Message, MessagePage};
use super::run::Run;
use super::sized::{Data, Text};
use super::usage::Usage;
use crate::graphql::connection::PageArguments;
use crate::graphql::loader::{EnqueuedRunsOf, UsageOf, load};
use crate::graphql::{ApiError, Code, api, charge_items};
use talkgraph_domain::{Cost, Page};
use talkgraph_store::BranchRange;

pub(crate) struct Session(pub(crate) Arc<talkgraph_domain::Session>);

/// A conversation with an agent. It belongs to the principal that created it.
#[Object]
impl Session {
    /// The session's global id, such as `ses_01jq4w0dn9e5rb6c3v8s2h7k4m`.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The title for lists; by default the first line of the first message.
    async fn title(&self) -> Option<Text<&str>> {
        self.0.title.as_deref().map(Text)
    }

    /// The client's own data.
    async fn metadata(&self) -> Data<&Value> {
        Data(&self.0.metadata)
    }

    /// The agent that answers.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Agent> {
        let agent = load(ctx, self.0.agent_id).await?;
        let gone = || ApiError::new(Code::NotFound, "the session's agent was not found");
        Ok(Agent(agent.ok_or_else(gone)?))
    }

    /// The last message of the visible branch, which the next message follows; null if the branch
    /// is empty. `switchBranch` selects another branch.
    async fn head(&self) -> Option<Message> {
        self.0.head.map(Message::by_id)
    }

    /// The messages of the visible branch, oldest first. Without `first` and `last`: the latest
    /// page.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of items from the start of the range.")] first: Option<i32>,
        #[graphql(desc = "The cursor after which the page begins, such as a page's `endCursor`.")]
        after: Option<String>,
        #[graphql(desc = "The number of items from the end of the range.")] last: Option<i32>,
        #[graphql(desc = "The cursor before which the page ends, such as a page's `startCursor`.")]
        before: Option<String>,
    ) -> Result<MessagePage> {
        let api = api(ctx)?;
        let arguments = PageArguments {
            first,
            after,
            last,
            before,
        };
        let page = arguments.check::<i32>(&api.limits, true)?;
        let length = self.0.branch_length;
        let (from, to) = page_range(&page, length);
        let session = self.0.id;
        let range = self.0.head.filter(|_| from < to).map(|head| BranchRange {
            session,
            head,
            from,
            to,
        });
        let messages = match range {
            Some(range) => load(ctx, range).await?,
            None => None,
        };
        Ok(MessagePage(Page {
            items: messages.map_or_else(Vec::new, |messages| messages.to_vec()),
            has_previous: from > 0,
            has_next: to < length,
        }))
    }

    /// The active run, if any: as of the same moment as `head` and `messages`, so that `runEvents`
    /// continues exactly from its `lastSequence`.
    async fn active_run(&self) -> Option<Run> {
        self.0.active_run.map(Run::active)
    }

    /// The queued runs (`onActiveRun: ENQUEUE`), in the order in which they will start. Their
    /// `input` is the queued message.
    async fn enqueued_runs(&self, ctx: &Context<'_>) -> Result<Vec<Run>> {
        if self.0.enqueued_runs == 0 {
            return Ok(Vec::new());
        }
        let runs = load(ctx, EnqueuedRunsOf(self.0.id)).await?;
        let runs = runs.iter().flat_map(|runs| runs.iter());
        charge_items(ctx, runs.clone().count())?;
        Ok(runs.map(|run| Run::loaded(Arc::clone(run))).collect())
    }

    /// The total usage of the session's ended runs.
    async fn usage(&self, ctx: &Context<'_>) -> Result<Usage> {
        let found = load(ctx, UsageOf(self.0.id)).await?;
        Ok(match found {
            Some(found) => Usage::new(found.usage, found.cost),
            None => Usage::new(talkgraph_domain::Usage::default(), Some(Cost::ZERO)),
        })
    }

    /// The time at which the session was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// The time of the last message or change.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }

    /// The time at which the session was deleted. Only `sessionChanged` returns a deleted session.
    async fn deleted_at(&self) -> Option<DateTime<Utc>> {
        self.0.deleted_at
    }
}

/// Returns the positions that a page of a branch of `length` messages covers.
fn page_range(page: &talkgraph_domain::PageRequest<i32>, length: i32) -> (i32, i32) {
    let low = page
        .after
        .map_or(0, |after| after.saturating_add(1))
        .min(length);
    let high = page.before.unwrap_or(length).clamp(low, length);
    if page.from_end {
        (high.saturating_sub_unsigned(page.limit).max(low), high)
    } else {
        (low, low.saturating_add_unsigned(page.limit).min(high))
    }
}

#[cfg(test)]
mod tests {
    use super::page_range;
    use proptest::prelude::*;
    use talkgraph_domain::PageRequest;

    proptest! {
        #[test]
        fn pages_tile_a_branch(length in 0..200_i32, limit in 1..30_u32) {
            let (mut after, mut seen) = (None, 0);
            while seen < length {
                let (from, to) = page_range(&PageRequest { after, before: None, limit, from_end: false }, length);
                prop_assert_eq!(from, seen);
                prop_assert!(to > from && to <= length);
                (after, seen) = (Some(to - 1), to);
            }
            let (mut before, mut left) = (None, length);
            while left > 0 {
                let (from, to) = page_range(&PageRequest { after: None, before, limit, from_end: true }, length);
                prop_assert_eq!(to, left);
                (before, left) = (Some(from), from);
            }
        }

        #[test]
        fn any_cursors_stay_inside(
            after in proptest::option::of(0..i32::MAX), before in proptest::option::of(0..i32::MAX),
            length in 0..100_i32, limit in 1..100_u32, from_end: bool,
        ) {
            let (from, to) = page_range(&PageRequest { after, before, limit, from_end }, length);
            prop_assert!(0 <= from && from <= to && to <= length);
            prop_assert!((to - from).cast_unsigned() <= limit);
        }
    }
}
