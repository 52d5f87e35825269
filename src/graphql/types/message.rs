//! Messages, stored or still being written.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::enums::{FinishReason, Role};
use super::run::Run;
use super::session::Session;
use super::sized::{Data, Text};
use super::usage::Usage;
use crate::graphql::connection::PageArguments;
use crate::graphql::loader::{LatestSiblings, load};
use crate::graphql::{ApiError, Code, api, charge_items};
use talkgraph_domain::message::data_of;
use talkgraph_domain::{MessageId, RunId};
use talkgraph_runtime::Transcript;
use talkgraph_store::Siblings;

mod fast_path;
mod file;
mod page;
mod part;
mod result;

pub(crate) use fast_path::Message;
pub(crate) use page::MessagePage;
pub(super) use part::json;
use part::{MessagePart, visible};
pub(crate) use result::{ResultContent, ToolResultPart, contents};

/// A message with all its fields.
#[derive(Clone)]
pub(crate) struct FullMessage {
    id: MessageId,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Stored(Arc<talkgraph_domain::Message>),
    /// Read when more than its id is selected.
    ById,
    /// The message as of one event of the run that writes it.
    Streamed {
        place: StreamPosition,
        transcript: Arc<Transcript>,
    },
}

/// An event of a run that is writing its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamPosition {
    pub(crate) run: RunId,
    pub(crate) sequence: u64,
    /// The length of the answer's text at that event, in bytes, if known.
    pub(crate) end: Option<u64>,
}

impl FullMessage {
    /// Wraps a loaded message.
    pub(crate) fn stored(message: Arc<talkgraph_domain::Message>) -> Self {
        Self {
            id: message.id,
            source: Source::Stored(message),
        }
    }

    /// Refers to a stored message, read when more than its id is selected.
    pub(crate) fn by_id(id: MessageId) -> Self {
        Self {
            id,
            source: Source::ById,
        }
    }

    /// Refers to a message as of one event of its stream.
    pub(crate) fn streamed(
        id: MessageId,
        place: StreamPosition,
        transcript: &Arc<Transcript>,
    ) -> Self {
        Self {
            id,
            source: Source::Streamed {
                place,
                transcript: Arc::clone(transcript),
            },
        }
    }

    async fn find(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<Arc<talkgraph_domain::Message>>, ApiError> {
        if let Source::Stored(message) = &self.source {
            return Ok(Some(Arc::clone(message)));
        }
        load(ctx, self.id).await
    }

    async fn message(&self, ctx: &Context<'_>) -> Result<Arc<talkgraph_domain::Message>, ApiError> {
        let missing = || ApiError::new(Code::NotFound, format!("there is no message {}", self.id));
        self.find(ctx).await?.ok_or_else(missing)
    }

    /// Returns the text as of the event that the message was streamed with.
    async fn streamed_text(
        &self,
        ctx: &Context<'_>,
        place: StreamPosition,
        transcript: &Transcript,
    ) -> Result<String, ApiError> {
        // The live run has the text, for any number of deltas.
        if let Some(end) = place.end
            && let Some(live) = api(ctx)?.runner.bus().get(place.run)
            && let Some(text) = live.text_at(place.sequence, end)
        {
            return Ok(text);
        }
        Ok(transcript.text_at(place.sequence).await?)
    }

    async fn parent_id(&self, ctx: &Context<'_>) -> Result<Option<MessageId>, ApiError> {
        match self.source {
            Source::Streamed { place, .. } => {
                let run = load(ctx, place.run).await?;
                Ok(run.map(|run| run.input_message_id))
            }
            _ => Ok(self.message(ctx).await?.parent_id),
        }
    }

    /// Returns the answers to the same message, with this one, not stored yet, as the last.
    async fn earlier_answers(
        &self,
        ctx: &Context<'_>,
        run: RunId,
        limit: u32,
    ) -> Result<Vec<MessageId>, ApiError> {
        let mut ids = Vec::new();
        if let Some(run) = load(ctx, run).await? {
            let kin = Siblings::Below(run.input_message_id);
            let found = load(ctx, LatestSiblings { kin, limit }).await?;
            ids.extend(found.iter().flat_map(|ids| ids.iter().copied()));
        }
        // The message may have been stored meanwhile.
        if !ids.contains(&self.id) {
            let spare = (ids.len() + 1).saturating_sub(limit as usize);
            ids.drain(..spare.min(ids.len()));
            ids.push(self.id);
        }
        Ok(ids)
    }

    async fn run_id(&self, ctx: &Context<'_>) -> Result<RunId, ApiError> {
        match self.source {
            Source::Streamed { place, .. } => Ok(place.run),
            _ => Ok(self.message(ctx).await?.run_id),
        }
    }
}

/// A message of a session, as ordered parts.
#[Object(name = "Message")]
impl FullMessage {
    /// The message's global id, such as `msg_01jq4w0dn9e5rb6c3v8s2h7k4m`. It stays the same while
    /// the message is written and afterwards.
    pub(crate) async fn id(&self) -> ID {
        self.id.to_string().into()
    }

    /// The author of the message.
    async fn role(&self, ctx: &Context<'_>) -> Result<Role> {
        match &self.source {
            // Only answers are streamed.
            Source::Streamed { .. } => Ok(Role::Assistant),
            _ => Ok(self.message(ctx).await?.role.into()),
        }
    }

    /// The complete text. In an event: the text so far, as of that event.
    async fn text(&self, ctx: &Context<'_>) -> Result<Text> {
        match &self.source {
            Source::Streamed { place, transcript } => {
                Ok(Text(self.streamed_text(ctx, *place, transcript).await?))
            }
            _ => Ok(Text(self.message(ctx).await?.text())),
        }
    }

    /// The parts, in order. In an event: the parts so far, as of that event.
    async fn parts(&self, ctx: &Context<'_>) -> Result<Vec<MessagePart>> {
        match &self.source {
            Source::Streamed { place, transcript } => {
                let parts = transcript.parts_at(place.sequence).await;
                let parts = parts.map_err(ApiError::from)?;
                charge_items(ctx, parts.len())?;
                Ok(visible(&parts))
            }
            _ => {
                let message = self.message(ctx).await?;
                charge_items(ctx, message.parts.len())?;
                Ok(visible(&message.parts))
            }
        }
    }

    /// The answer as a value that is valid against the requested `outputSchema` or that of its
    /// agent; null if neither exists and before the answer is complete.
    async fn data(&self, ctx: &Context<'_>) -> Option<Result<Data<Value>>> {
        let found = match &self.source {
            Source::Streamed { place, transcript } => {
                let parts = transcript.parts_at(place.sequence).await;
                let found = parts.map(|parts| data_of(&parts).map(json));
                found.map_err(ApiError::from)
            }
            _ => self.message(ctx).await.map(|one| one.data().map(json)),
        };
        found.map_err(Into::into).transpose()
    }

    /// The run that the message started (USER) or that wrote it (ASSISTANT).
    async fn run(&self, ctx: &Context<'_>) -> Result<Run> {
        Ok(Run::by_id(self.run_id(ctx).await?))
    }

    /// The usage of the run that wrote the message; null for USER messages and while the run is
    /// active.
    async fn usage(&self, ctx: &Context<'_>) -> Option<Result<Usage>> {
        let found = async {
            if matches!(self.source, Source::Streamed { .. }) {
                return Ok::<_, ApiError>(None);
            }
            let message = self.message(ctx).await?;
            if message.role == talkgraph_domain::Role::User {
                return Ok(None);
            }
            let run = load(ctx, message.run_id).await?;
            Ok(run.map(|run| Usage::new(run.usage, run.cost)))
        };
        found.await.map_err(Into::into).transpose()
    }

    /// The message that this one follows; null for the first of its branch and while its run is
    /// queued.
    async fn parent(&self, ctx: &Context<'_>) -> Option<Result<Self>> {
        let parent = self.parent_id(ctx).await;
        let parent = parent.map(|parent| parent.map(Self::by_id));
        parent.map_err(Into::into).transpose()
    }

    /// The messages with the same parent, including this one, oldest first: alternatives created by
    /// `editMessage` or `regenerate`. At most the `last` ones, always including this message.
    async fn siblings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of messages.")] last: Option<i32>,
    ) -> Result<Vec<Self>> {
        let arguments = PageArguments {
            last,
            ..Default::default()
        };
        let limit = arguments.check::<i32>(&api(ctx)?.limits, true)?.limit;
        let kin = Siblings::Of(self.id);
        let found = load(ctx, LatestSiblings { kin, limit }).await?;
        let mut ids = found.map_or_else(Vec::new, |ids| ids.to_vec());
        if let (true, Source::Streamed { place, .. }) = (ids.is_empty(), &self.source) {
            ids = self.earlier_answers(ctx, place.run, limit).await?;
        }
        let sibling = |id| match id == self.id {
            true => self.clone(),
            false => Self::by_id(id),
        };
        Ok(ids.into_iter().map(sibling).collect())
    }

    /// The session that the message belongs to.
    async fn session(&self, ctx: &Context<'_>) -> Result<Session> {
        let gone = || ApiError::new(Code::NotFound, "the message's session was deleted");
        let id = match self.source {
            Source::Streamed { place, .. } => {
                load(ctx, place.run).await?.ok_or_else(gone)?.session_id
            }
            _ => self.message(ctx).await?.session_id,
        };
        Ok(Session(load(ctx, id).await?.ok_or_else(gone)?))
    }

    /// The reason why the answer ended; null for USER messages and while it is written.
    async fn finish_reason(&self, ctx: &Context<'_>) -> Option<Result<FinishReason>> {
        let message = self.find(ctx).await;
        let reason = message.map(|message| message?.finish_reason.map(Into::into));
        reason.map_err(Into::into).transpose()
    }

    /// The time at which the message was sent or completed; null while it is written.
    async fn created_at(&self, ctx: &Context<'_>) -> Option<Result<DateTime<Utc>>> {
        let message = self.find(ctx).await;
        let at = message.map(|message| Some(message?.created_at));
        at.map_err(Into::into).transpose()
    }
}
