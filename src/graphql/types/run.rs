//! Runs.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::agent::Agent;
use super::agent_version::AgentVersion;
use super::enums::{FinishReason, RunErrorCode, RunStatus};
use super::interrupt::Interrupt;
use super::message::{Message, StreamPosition};
use super::session::Session;
use super::sized::Text;
use super::usage::Usage;
use crate::graphql::loader::{ChildRunsOf, OpenInterruptsOf, load};
use crate::graphql::{ApiError, Code, api, charge_items, principal};
use talkgraph_domain::RunId;

pub(crate) struct Run {
    id: RunId,
    loaded: Option<Arc<talkgraph_domain::Run>>,
    /// The last sequence as of the moment at which the run was read, if known.
    last_sequence: Option<u64>,
}

/// The error of a failed run.
#[derive(SimpleObject)]
pub(crate) struct RunError {
    /// The kind of error.
    code: RunErrorCode,
    /// One sentence for people.
    message: Text,
    /// True if sending the same message again may succeed.
    retryable: bool,
}

impl From<&talkgraph_domain::RunError> for RunError {
    fn from(error: &talkgraph_domain::RunError) -> Self {
        Self {
            code: error.code.into(),
            message: Text(error.message.clone()),
            retryable: error.retryable,
        }
    }
}

impl Run {
    /// Wraps a loaded run.
    pub(crate) fn loaded(run: Arc<talkgraph_domain::Run>) -> Self {
        Self {
            id: run.id,
            loaded: Some(run),
            last_sequence: None,
        }
    }

    /// Wraps a session's active run, as of the moment at which the session was read.
    pub(crate) fn active(active: talkgraph_domain::ActiveRun) -> Self {
        Self {
            id: active.id,
            loaded: None,
            last_sequence: Some(active.last_sequence),
        }
    }

    /// Refers to a run, read when more than its id is selected.
    pub(crate) fn by_id(id: RunId) -> Self {
        Self {
            id,
            loaded: None,
            last_sequence: None,
        }
    }

    async fn last(&self, ctx: &Context<'_>) -> Result<u64, ApiError> {
        if let Some(last) = self.last_sequence {
            return Ok(last);
        }
        let live = api(ctx)?.runner.bus().get(self.id);
        let stored = match (&live, &self.loaded) {
            // The live run here is at least as far as the stored one.
            (Some(_), None) => 0,
            _ => self.run(ctx).await?.last_sequence,
        };
        Ok(live.map_or(0, |live| live.last_sequence()).max(stored))
    }

    async fn answer(&self, ctx: &Context<'_>) -> Result<Option<Message>, ApiError> {
        let run = self.run(ctx).await?;
        // A past moment is read from the log, even if the run has ended since.
        if self.last_sequence.is_none() {
            let stored = load(ctx, run.output_message_id).await?;
            if stored.is_some() || run.status.is_terminal() {
                return Ok(stored.map(Message::stored));
            }
        }
        let runner = &api(ctx)?.runner;
        let place = StreamPosition {
            run: self.id,
            sequence: self.last(ctx).await?,
            end: None,
        };
        let transcript = runner.follow.transcript(principal(ctx)?.clone(), self.id);
        let begun = !transcript.parts_at(place.sequence).await?.is_empty();
        Ok(begun.then(|| Message::streamed(run.output_message_id, place, &transcript)))
    }

    async fn run(&self, ctx: &Context<'_>) -> Result<Arc<talkgraph_domain::Run>, ApiError> {
        if let Some(run) = &self.loaded {
            return Ok(Arc::clone(run));
        }
        let run = load(ctx, self.id).await?;
        run.ok_or_else(|| ApiError::new(Code::NotFound, format!("there is no run {}", self.id)))
    }
}

/// One execution of an agent that answers a message. A run belongs to the server, not to a
/// connection: it continues when the client disconnects.
#[Object]
impl Run {
    /// The run's global id, such as `run_01jq4w0dn9e5rb6c3v8s2h7k4m`.
    pub(crate) async fn id(&self) -> ID {
        self.id.to_string().into()
    }

    /// The state of the run.
    async fn status(&self, ctx: &Context<'_>) -> Result<RunStatus> {
        Ok(self.run(ctx).await?.status.into())
    }

    /// The reason why the run ended; null while it is active.
    async fn finish_reason(&self, ctx: &Context<'_>) -> Option<Result<FinishReason>> {
        let run = self.run(ctx).await;
        run.map(|run| run.finish_reason.map(Into::into))
            .map_err(Into::into)
            .transpose()
    }

    /// The error of a failed run, otherwise null. A failed run is data; the message that started it
    /// is kept.
    async fn error(&self, ctx: &Context<'_>) -> Option<Result<RunError>> {
        let run = self.run(ctx).await;
        run.map(|run| run.error.as_ref().map(RunError::from))
            .map_err(Into::into)
            .transpose()
    }

    /// The usage of the run; final once it has ended.
    async fn usage(&self, ctx: &Context<'_>) -> Result<Usage> {
        let run = self.run(ctx).await?;
        Ok(Usage::new(run.usage, run.cost))
    }

    /// The model that is called first, as `provider/model`. After the run, the one of the agent's
    /// `models` that answered.
    async fn model(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(self.run(ctx).await?.model.clone())
    }

    /// The session that the run belongs to.
    async fn session(&self, ctx: &Context<'_>) -> Result<Session> {
        let session = load(ctx, self.run(ctx).await?.session_id).await?;
        let gone = || ApiError::new(Code::NotFound, "the run's session was deleted");
        Ok(Session(session.ok_or_else(gone)?))
    }

    /// The agent that answers; after hand-offs, the last one.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Agent> {
        let agent = load(ctx, self.run(ctx).await?.agent_id).await?;
        let gone = || ApiError::new(Code::NotFound, "the run's agent was not found");
        Ok(Agent(agent.ok_or_else(gone)?))
    }

    /// The agent version that the run uses.
    async fn agent_version(&self, ctx: &Context<'_>) -> Result<AgentVersion> {
        let version = load(ctx, self.run(ctx).await?.agent_version_id).await?;
        let gone = || ApiError::new(Code::NotFound, "the run's agent version was not found");
        Ok(AgentVersion(version.ok_or_else(gone)?))
    }

    /// The message that the run answers.
    async fn input(&self, ctx: &Context<'_>) -> Result<Message> {
        Ok(Message::by_id(self.run(ctx).await?.input_message_id))
    }

    /// The answer: while the run is active, its content as of `lastSequence`; null before there is
    /// any. It joins the session's history when the run ends.
    async fn output(&self, ctx: &Context<'_>) -> Option<Result<Message>> {
        self.answer(ctx).await.map_err(Into::into).transpose()
    }

    /// The open interrupts, oldest first. A run in AWAITING_INPUT continues after
    /// `resolveInterrupts` has answered them all. A run in RUNNING lists the questions of tools
    /// during their calls (InputRequest).
    async fn interrupts(&self, ctx: &Context<'_>) -> Result<Vec<Interrupt>> {
        let open = load(ctx, OpenInterruptsOf(self.id)).await?;
        let open = open.iter().flat_map(|open| open.iter());
        charge_items(ctx, open.clone().count())?;
        Ok(open.map(|one| Arc::clone(one).into()).collect())
    }

    /// The run that started this one as a child; null for other runs. A child run has its own
    /// session, which no list contains.
    async fn parent_run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        let run = self.run(ctx).await.map_err(Into::into);
        run.map(|run| run.parent.map(|parent| Run::by_id(parent.run)))
            .transpose()
    }

    /// The child runs that this run started, oldest first. Its own usage includes theirs.
    async fn child_runs(&self, ctx: &Context<'_>) -> Result<Vec<Run>> {
        let children = load(ctx, ChildRunsOf(self.id)).await?;
        let children = children.unwrap_or_default();
        charge_items(ctx, children.len())?;
        let children = children.into_iter();
        Ok(children.map(Run::loaded).collect())
    }

    /// The sequence of the run's last event; pass it to `runEvents(after:)` to continue from there.
    /// For a session's `activeRun`, it is as of the same moment as the session's messages.
    async fn last_sequence(&self, ctx: &Context<'_>) -> Result<u64> {
        Ok(self.last(ctx).await?)
    }

    /// True if the server removed the events before the run's end from its log, some time after
    /// that end. `runEvents` then begins with `LogCompacted`.
    async fn log_compacted(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.run(ctx).await?.log_compacted_at.is_some())
    }

    /// The time at which the run was accepted.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>> {
        Ok(self.run(ctx).await?.created_at)
    }

    /// The time at which execution began; null while it is queued.
    async fn started_at(&self, ctx: &Context<'_>) -> Option<Result<DateTime<Utc>>> {
        let run = self.run(ctx).await;
        run.map(|run| run.started_at)
            .map_err(Into::into)
            .transpose()
    }

    /// The time at which the run ended; null while it is active.
    async fn finished_at(&self, ctx: &Context<'_>) -> Option<Result<DateTime<Utc>>> {
        let run = self.run(ctx).await;
        run.map(|run| run.finished_at)
            .map_err(Into::into)
            .transpose()
    }
}
