//! What of a conversation a model is shown: as much as its window takes, by whole turns, the
//! newest first.

pub(crate) mod fit;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::run::services::RunServices;
use talkgraph_domain::Usage;
use talkgraph_llm::{ChatMessage, ChatRequest, ChatRole, LlmError, Models, Prompt, most_tokens};

use crate::run::context_window::fit::Fit;

/// What is kept free for the answer of a model that is given no limit: an eighth of the window,
/// and no more than this, in tokens.
const MOST_RESERVED: u64 = 8_192;
/// Where a prompt has at most this part of the room it is sent as it is, uncounted.
const SURE_PART: u64 = 8;
/// The most bytes that are counted beside everything else: some milliseconds' work.
const COUNTED_AT_ONCE_BYTES: u64 = 65_536;

/// A request, and what of it must stay.
pub(crate) struct Shown {
    pub(crate) request: ChatRequest,
    /// How many messages stand before the conversation: the instructions and, where there is
    /// one, what is told of earlier turns.
    pub(crate) head: usize,
    /// The message with which the newest turn begins.
    pub(crate) newest: usize,
}

/// A request that is cut to the window of each model that it is sent to.
pub(crate) struct Fitted {
    services: Arc<RunServices>,
    shown: Arc<Shown>,
    /// How many tokens the last prompt was counted to have, if it was.
    counted: Mutex<Option<u64>>,
}

impl Fitted {
    pub(crate) fn new(services: Arc<RunServices>, shown: Shown) -> Self {
        Self {
            services,
            shown: Arc::new(shown),
            counted: Mutex::default(),
        }
    }

    /// With which message of the conversation to begin so that half of its room is free; none
    /// if all of it fits, or if nobody knows the model's window.
    pub(crate) async fn overflow(&self, model: &str) -> Result<Option<usize>, LlmError> {
        match self.room_of(model) {
            Some((room, _)) => self.count(model, room, overflow).await,
            None => Ok(None),
        }
    }

    /// What a model has room for, and its window; none if that is surely enough.
    fn room_of(&self, model: &str) -> Option<(u64, u64)> {
        let window = self.services.models.window(model)?;
        let room = room(window, self.shown.request.max_output_tokens);
        (most_tokens(&self.shown.request) > room / SURE_PART).then_some((room, window))
    }

    /// Counts where it holds nobody up.
    async fn count<T: Send + 'static>(
        &self,
        model: &str,
        room: u64,
        counting: fn(&Models, &str, &Shown, u64) -> T,
    ) -> Result<T, LlmError> {
        let (services, shown, model) = (
            Arc::clone(&self.services),
            Arc::clone(&self.shown),
            model.to_owned(),
        );
        off_thread(most_tokens(&self.shown.request), move || {
            counting(&services.models, &model, &shown, room)
        })
        .await
    }

    /// Takes in what the model says that it has read.
    pub(crate) fn observe(&self, model: &str, before: Usage, after: Usage) {
        let actual = after.input_tokens.saturating_sub(before.input_tokens);
        let counted = *self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = counted {
            self.services.models.observe_tokens(model, counted, actual);
        }
    }

    fn set_counted(&self, tokens: Option<u64>) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = tokens;
    }
}

#[async_trait]
impl Prompt for Fitted {
    async fn request_for(&self, model: &str) -> Result<ChatRequest, LlmError> {
        self.set_counted(None);
        let Some((room, window)) = self.room_of(model) else {
            return Ok(self.shown.request.clone());
        };
        let cut = self.count(model, room, cut).await?;
        let (request, counted) = cut.ok_or_else(|| LlmError::ContextExceeded {
            limit: u32::try_from(window).ok(),
        })?;
        self.set_counted(Some(counted));
        Ok(request)
    }
}

/// Counts the tokens of so many bytes, on a thread of its own if they are many.
pub(crate) async fn off_thread<T: Send + 'static>(
    bytes: u64,
    counting: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LlmError> {
    if bytes <= COUNTED_AT_ONCE_BYTES {
        return Ok(counting());
    }
    let counted = tokio::task::spawn_blocking(counting).await;
    counted.map_err(|_| LlmError::Internal)
}

/// What of a window is there for the prompt.
pub(crate) fn room(window: u64, max_output_tokens: Option<u32>) -> u64 {
    let usual = (window / 8).min(MOST_RESERVED);
    // A limit beyond the window is no wish for an empty prompt.
    let reserved = max_output_tokens.map_or(usual, |most| u64::from(most).min(window / 2));
    window - reserved
}

/// A prompt, as the count for one model sees it.
struct Measured<'a> {
    models: &'a Models,
    model: &'a str,
    request: &'a ChatRequest,
    /// What the messages have room for, with all that is shown in any case.
    room: u64,
    /// How many messages stand before the conversation.
    head: usize,
    /// Of each message of the conversation, whether a turn begins with it.
    starts: Vec<bool>,
}

impl<'a> Measured<'a> {
    fn new(models: &'a Models, model: &'a str, of: &'a Shown, room: u64) -> Self {
        let conversation = of.request.messages.iter().enumerate().skip(of.head);
        let starts = conversation.map(|(at, message)| {
            // What a repair says to the model is part of the newest turn.
            message.role == ChatRole::User && at <= of.newest
        });
        Self {
            models,
            model,
            request: &of.request,
            // The count is compared with the room as the count sees it.
            room: (room as f64 / models.token_factor(model)) as u64,
            head: of.head,
            starts: starts.collect(),
        }
    }

    fn tokens(&self, message: usize) -> u64 {
        let message = self.request.messages.get(message);
        message.map_or(0, |message| self.models.message_tokens(self.model, message))
    }

    /// What is shown in any case, with so many of the messages before the conversation.
    fn fixed(&self, head: usize) -> u64 {
        let head: u64 = (0..head).map(|message| self.tokens(message)).sum();
        self.models.extra_tokens(self.model, self.request) + head
    }

    fn fit(&self, fixed: u64, room: u64) -> Option<Fit> {
        let tokens = |at| self.tokens(self.head + at);
        fit::fit(&self.starts, fixed, room, tokens)
    }
}

/// The request with as many turns as there is room for, and how many tokens it was counted
/// to have.
fn cut(models: &Models, model: &str, of: &Shown, room: u64) -> Option<(ChatRequest, u64)> {
    let measured = Measured::new(models, model, of, room);
    let whole = measured.fit(measured.fixed(of.head), measured.room);
    // Rather without what is told of earlier turns than not at all.
    let (head, fitted) = match whole {
        Some(fitted) => (of.head, fitted),
        None => (1, measured.fit(measured.fixed(1), measured.room)?),
    };
    if fitted.from > 0 {
        let left_out = fitted.from;
        tracing::debug!(model, left_out, "the oldest messages have no room");
    }
    let messages = &of.request.messages;
    let kept = messages.iter().skip(of.head + fitted.from);
    let request = ChatRequest {
        messages: messages.iter().take(head).chain(kept).cloned().collect(),
        ..of.request.clone()
    };
    Some((request, fitted.tokens))
}

/// With which of `pieces`, oldest first, to begin so that there is room for all that follow,
/// beside the messages of `fixed`; none if there is not even for the newest.
pub(crate) fn newest_that_fit(
    models: &Models,
    model: &str,
    room: u64,
    fixed: &[Arc<ChatMessage>],
    pieces: &[String],
) -> Option<usize> {
    let room = (room as f64 / models.token_factor(model)) as u64;
    let fixed = fixed.iter().map(|one| models.message_tokens(model, one));
    let starts = vec![true; pieces.len()];
    let fitted = fit::fit(&starts, fixed.sum(), room, |at| {
        pieces
            .get(at)
            .map_or(0, |piece| models.text_tokens(model, piece))
    });
    fitted.map(|fitted| fitted.from)
}

/// With which message of the conversation to begin so that half of its room is free; none if
/// all of it fits.
fn overflow(models: &Models, model: &str, of: &Shown, room: u64) -> Option<usize> {
    let measured = Measured::new(models, model, of, room);
    let fixed = measured.fixed(of.head);
    let whole = measured.fit(fixed, measured.room);
    let first = measured.starts.iter().position(|starts| *starts);
    if whole.is_some_and(|fitted| Some(fitted.from) == first) {
        return None;
    }
    let half = measured.room.saturating_sub(fixed) / 2;
    let kept = measured.fit(0, half).map(|fitted| fitted.from);
    // The newest turn stays, whatever its size.
    kept.or_else(|| measured.starts.iter().rposition(|starts| *starts))
}
