//! What a run reads of the branch that it answers.

use talkgraph_domain::{Message, Summary};
use talkgraph_store::BranchRange;

use crate::run::executor::{Execution, Stop};
use crate::run::files::Contents;

/// Where the branch begins that a summary does not cover.
pub(crate) fn first_after(summary: Option<&Summary>) -> i32 {
    summary.map_or(0, |summary| summary.position + 1)
}

impl Execution {
    /// The branch up to the message that is answered, as much of it as the model is shown:
    /// what a summary covers it is not.
    pub(crate) async fn history(&self, summary: Option<&Summary>) -> Result<Vec<Message>, Stop> {
        let position = self.input.position;
        let from = position.saturating_sub_unsigned(self.limits().history_messages);
        let from = from.max(first_after(summary));
        if from >= position {
            return Ok(vec![self.input.clone()]);
        }
        self.branch(from, position + 1).await
    }

    /// The messages at these positions of the branch.
    pub(crate) async fn branch(&self, from: i32, to: i32) -> Result<Vec<Message>, Stop> {
        let range = BranchRange {
            session: self.input.session_id,
            head: self.input.id,
            from,
            to,
        };
        let (runner, who) = (&self.ending.runner, &self.ending.who);
        let ranges = [range];
        let read = self
            .read(|| runner.store.branches(who, &ranges, u64::MAX))
            .await?;
        Ok(read.into_iter().next().unwrap_or_default())
    }

    /// The contents of a history's files, as far as they are shown.
    pub(crate) async fn files(&self, history: &[Message]) -> Result<Contents, Stop> {
        let (runner, who) = (&self.ending.runner, &self.ending.who);
        let read = || runner.shown_files(who, &self.agent, history);
        Ok(self.read(read).await?)
    }
}
