//! The part of a conversation that a model gets: the newest whole turns that fit into its context
//! window.

pub(crate) mod fit;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::run::services::RunServices;
use talkgraph_domain::Usage;
use talkgraph_llm::{ChatMessage, ChatRequest, ChatRole, LlmError, Models, Prompt, most_tokens};

use crate::run::context_window::fit::Fit;

/// The most tokens that are reserved for the output of a model without a limit; otherwise an eighth
/// of the window.
const MOST_RESERVED: u64 = 8_192;
/// A prompt of at most this part of the room is sent without counting.
const SURE_PART: u64 = 8;
/// The most bytes that are counted on the runtime's own threads: some milliseconds of work.
const COUNTED_AT_ONCE_BYTES: u64 = 65_536;

/// A request with the whole conversation, and the messages that are always included.
pub(crate) struct FullPrompt {
    pub(crate) request: ChatRequest,
    /// The number of messages before the conversation: the instructions and, if there is one, the
    /// summary.
    pub(crate) head: usize,
    /// The index of the message that starts the newest turn.
    pub(crate) newest: usize,
}

/// A prompt that is cut to the context window of each model.
pub(crate) struct FittedPrompt {
    services: Arc<RunServices>,
    shown: Arc<FullPrompt>,
    /// The counted tokens of the last request, if they were counted.
    counted: Mutex<Option<u64>>,
}

impl FittedPrompt {
    pub(crate) fn new(services: Arc<RunServices>, shown: FullPrompt) -> Self {
        Self {
            services,
            shown: Arc::new(shown),
            counted: Mutex::default(),
        }
    }

    /// The message from which on half of the conversation's room would be free; none if all of it
    /// fits, or the model's window is unknown.
    pub(crate) async fn overflow(&self, model: &str) -> Result<Option<usize>, LlmError> {
        match self.room_of(model) {
            Some((room, _)) => self.count(model, room, overflow).await,
            None => Ok(None),
        }
    }

    /// The room of a model and its window; none if the prompt certainly fits.
    fn room_of(&self, model: &str) -> Option<(u64, u64)> {
        let window = self.services.models.window(model)?;
        let room = room(window, self.shown.request.max_output_tokens);
        (most_tokens(&self.shown.request) > room / SURE_PART).then_some((room, window))
    }

    /// Counts tokens without blocking the runtime's threads.
    async fn count<T: Send + 'static>(
        &self,
        model: &str,
        room: u64,
        counting: fn(&Models, &str, &FullPrompt, u64) -> T,
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

    /// Compares the counted tokens with those that the model reports.
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
impl Prompt for FittedPrompt {
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

/// Counts tokens, on a separate thread if there are many bytes.
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

/// The tokens of a window that a prompt may have.
pub(crate) fn room(window: u64, max_output_tokens: Option<u32>) -> u64 {
    let usual = (window / 8).min(MOST_RESERVED);
    // A limit beyond the window does not mean that the prompt is empty.
    let reserved = max_output_tokens.map_or(usual, |most| u64::from(most).min(window / 2));
    window - reserved
}

/// A prompt with its token counts for one model.
struct Measured<'a> {
    models: &'a Models,
    model: &'a str,
    request: &'a ChatRequest,
    /// The room for all messages, in the counter's tokens.
    room: u64,
    /// The number of messages before the conversation.
    head: usize,
    /// For each message of the conversation, true if it starts a turn.
    starts: Vec<bool>,
}

impl<'a> Measured<'a> {
    fn new(models: &'a Models, model: &'a str, of: &'a FullPrompt, room: u64) -> Self {
        let conversation = of.request.messages.iter().enumerate().skip(of.head);
        let starts = conversation.map(|(at, message)| {
            // The messages of a repair are part of the newest turn.
            message.role == ChatRole::User && at <= of.newest
        });
        Self {
            models,
            model,
            request: &of.request,
            // The room is scaled to the counter's tokens.
            room: (room as f64 / models.token_factor(model)) as u64,
            head: of.head,
            starts: starts.collect(),
        }
    }

    fn tokens(&self, message: usize) -> u64 {
        let message = self.request.messages.get(message);
        message.map_or(0, |message| self.models.message_tokens(self.model, message))
    }

    /// The tokens that are always included, with the first `head` messages.
    fn fixed(&self, head: usize) -> u64 {
        let head: u64 = (0..head).map(|message| self.tokens(message)).sum();
        self.models.extra_tokens(self.model, self.request) + head
    }

    fn fit(&self, fixed: u64, room: u64) -> Option<Fit> {
        let tokens = |at| self.tokens(self.head + at);
        fit::fit(&self.starts, fixed, room, tokens)
    }
}

/// The request with as many turns as fit, and its counted tokens.
fn cut(models: &Models, model: &str, of: &FullPrompt, room: u64) -> Option<(ChatRequest, u64)> {
    let measured = Measured::new(models, model, of, room);
    let whole = measured.fit(measured.fixed(of.head), measured.room);
    // A request without the summary is better than none.
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

/// The index of the oldest of `pieces` from which on all fit next to the messages of `fixed`; none
/// if the newest does not fit.
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

/// The message from which on half of the conversation's room would be free; none if all of it fits.
fn overflow(models: &Models, model: &str, of: &FullPrompt, room: u64) -> Option<usize> {
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
