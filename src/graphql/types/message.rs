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
use crate::graphql::loader::{LatestKin, load};
use crate::graphql::{ApiError, Code, api, charge_items};
use talkgraph_domain::message::data_of;
use talkgraph_domain::{MessageId, RunId};
use talkgraph_runtime::Transcript;
use talkgraph_store::Siblings;

mod file;
mod page;
mod part;
mod result;
mod short_cut;

pub(crate) use page::MessagePage;
pub(super) use part::json;
use part::{MessagePart, visible};
pub(crate) use result::{ResultContent, ToolResultPart, contents};
pub(crate) use short_cut::Message;

/// A message with all that can be asked of it.
#[derive(Clone)]
pub(crate) struct WholeMessage {
    id: MessageId,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Stored(Arc<talkgraph_domain::Message>),
    /// Read when more than its id is selected.
    ById,
    /// As it was at one event of the run that writes it.
    Streamed {
        place: StreamPlace,
        transcript: Arc<Transcript>,
    },
}

/// An event of a run whose answer is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamPlace {
    pub(crate) run: RunId,
    pub(crate) sequence: u64,
    /// How many bytes of text the answer had at that event, where that is known.
    pub(crate) end: Option<u64>,
}

impl WholeMessage {
    /// A message that is there already.
    pub(crate) fn stored(message: Arc<talkgraph_domain::Message>) -> Self {
        Self {
            id: message.id,
            source: Source::Stored(message),
        }
    }

    /// A stored message that is read when more than its id is selected.
    pub(crate) fn by_id(id: MessageId) -> Self {
        Self {
            id,
            source: Source::ById,
        }
    }

    /// A message at one event of its stream.
    pub(crate) fn streamed(
        id: MessageId,
        place: StreamPlace,
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

    /// The text at the event this message was streamed with.
    async fn streamed_text(
        &self,
        ctx: &Context<'_>,
        place: StreamPlace,
        transcript: &Transcript,
    ) -> Result<String, ApiError> {
        // The live run has it at hand, however many pieces there were.
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

    /// The answers to the same message, this one, which is not stored yet, as the last.
    async fn earlier_answers(
        &self,
        ctx: &Context<'_>,
        run: RunId,
        limit: u32,
    ) -> Result<Vec<MessageId>, ApiError> {
        let mut ids = Vec::new();
        if let Some(run) = load(ctx, run).await? {
            let kin = Siblings::Below(run.input_message_id);
            let found = load(ctx, LatestKin { kin, limit }).await?;
            ids.extend(found.iter().flat_map(|ids| ids.iter().copied()));
        }
        // It may have been stored meanwhile.
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

/// Something that was said, as ordered parts.
#[Object(name = "Message")]
impl WholeMessage {
    /// The message's global id; the same while it is written and afterwards.
    pub(crate) async fn id(&self) -> ID {
        self.id.to_string().into()
    }

    /// Who said it.
    async fn role(&self, ctx: &Context<'_>) -> Result<Role> {
        match &self.source {
            // Only answers are streamed.
            Source::Streamed { .. } => Ok(Role::Assistant),
            _ => Ok(self.message(ctx).await?.role.into()),
        }
    }

    /// All its text. In an event: the text so far, as of that event.
    async fn text(&self, ctx: &Context<'_>) -> Result<Text> {
        match &self.source {
            Source::Streamed { place, transcript } => {
                Ok(Text(self.streamed_text(ctx, *place, transcript).await?))
            }
            _ => Ok(Text(self.message(ctx).await?.text())),
        }
    }

    /// What it says, in order. In an event: what there was so far, as of that event.
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

    /// The answer in the form that `outputSchema` or its agent asks for, valid against that JSON
    /// Schema; null where nothing does, and before it is there.
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

    /// The run that it started when it was said (USER) or that made it (ASSISTANT).
    async fn run(&self, ctx: &Context<'_>) -> Result<Run> {
        Ok(Run::by_id(self.run_id(ctx).await?))
    }

    /// What the run has used that made it; null for what a person said, and while it is made.
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

    /// The message that it answers or follows; null for the first of its branch, and while its
    /// run waits for others of the session.
    async fn parent(&self, ctx: &Context<'_>) -> Option<Result<Self>> {
        let parent = self.parent_id(ctx).await;
        let parent = parent.map(|parent| parent.map(Self::by_id));
        parent.map_err(Into::into).transpose()
    }

    /// The messages with the same parent, itself included, oldest first: what was said instead
    /// (`editMessage`) or answered instead (`regenerate`). At most `last` of them, the latest
    /// ones, with this message always among them.
    async fn siblings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most.")] last: Option<i32>,
    ) -> Result<Vec<Self>> {
        let arguments = PageArguments {
            last,
            ..Default::default()
        };
        let limit = arguments.check::<i32>(&api(ctx)?.limits, true)?.limit;
        let kin = Siblings::Of(self.id);
        let found = load(ctx, LatestKin { kin, limit }).await?;
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

    /// The session it belongs to.
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

    /// Why the answer ended; null for what people say and while it is written.
    async fn finish_reason(&self, ctx: &Context<'_>) -> Option<Result<FinishReason>> {
        let message = self.find(ctx).await;
        let reason = message.map(|message| message?.finish_reason.map(Into::into));
        reason.map_err(Into::into).transpose()
    }

    /// When it was said; null while it is written.
    async fn created_at(&self, ctx: &Context<'_>) -> Option<Result<DateTime<Utc>>> {
        let message = self.find(ctx).await;
        let at = message.map(|message| Some(message?.created_at));
        at.map_err(Into::into).transpose()
    }
}
