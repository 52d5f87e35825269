//! What of a conversation a model is shown: as much as its window takes, by whole turns, the
//! newest first.

mod fit;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::agent::Runner;
use crate::domain::Usage;
use crate::llm::{ChatRequest, ChatRole, LlmError, Models, Prompt, most_tokens};

/// What is kept free for the answer of a model that is given no limit: an eighth of the window,
/// and no more than this, in tokens.
const MOST_RESERVED: u64 = 8_192;
/// Where a prompt has at most this part of the room it is sent as it is, uncounted.
const SURE_PART: u64 = 8;
/// The most bytes that are counted beside everything else: some milliseconds' work.
const COUNTED_AT_ONCE_BYTES: u64 = 65_536;

/// A request that is cut to the window of each model that it is sent to.
pub(super) struct Fitted {
    runner: Arc<Runner>,
    request: Arc<ChatRequest>,
    /// Where the newest turn begins.
    newest: usize,
    /// How many tokens the last prompt was counted to have, if it was.
    counted: Mutex<Option<u64>>,
}

impl Fitted {
    /// `newest` is the number of the message with which the newest turn begins.
    pub(super) fn new(runner: Arc<Runner>, request: ChatRequest, newest: usize) -> Self {
        Self {
            runner,
            request: Arc::new(request),
            newest,
            counted: Mutex::default(),
        }
    }

    /// Takes in what the model says that it has read.
    pub(super) fn observe(&self, model: &str, before: Usage, after: Usage) {
        let actual = after.input_tokens.saturating_sub(before.input_tokens);
        let counted = *self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = counted {
            self.runner.models.observe_tokens(model, counted, actual);
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
        let most = most_tokens(&self.request);
        let Some(window) = self.runner.models.window(model) else {
            return Ok(ChatRequest::clone(&self.request));
        };
        let room = room(window, self.request.max_output_tokens);
        if most <= room / SURE_PART {
            return Ok(ChatRequest::clone(&self.request));
        }
        let (runner, request) = (Arc::clone(&self.runner), Arc::clone(&self.request));
        let (newest, name) = (self.newest, model.to_owned());
        let fit = move || cut(&runner.models, &name, &request, newest, (room, window));
        let (request, counted) = match most <= COUNTED_AT_ONCE_BYTES {
            true => fit()?,
            false => {
                let counting = tokio::task::spawn_blocking(fit).await;
                counting.map_err(|_| LlmError::Internal)??
            }
        };
        self.set_counted(Some(counted));
        Ok(request)
    }
}

/// What of a window is there for the prompt.
fn room(window: u64, max_output_tokens: Option<u32>) -> u64 {
    let usual = (window / 8).min(MOST_RESERVED);
    // A limit beyond the window is no wish for an empty prompt.
    let reserved = max_output_tokens.map_or(usual, |most| u64::from(most).min(window / 2));
    window - reserved
}

/// The request with as many turns as there is room for, and how many tokens it was counted
/// to have.
fn cut(
    models: &Models,
    model: &str,
    request: &ChatRequest,
    newest: usize,
    (room, window): (u64, u64),
) -> Result<(ChatRequest, u64), LlmError> {
    // The count is compared with the room as the count sees it.
    let room = (room as f64 / models.token_factor(model)) as u64;
    let (system, conversation): (Vec<_>, Vec<_>) = request
        .messages
        .iter()
        .enumerate()
        .partition(|(_, message)| message.role == ChatRole::System);
    let tokens = |message| models.message_tokens(model, message);
    let fixed = models.extra_tokens(model, request)
        + system
            .iter()
            .map(|(_, message)| tokens(message))
            .sum::<u64>();
    let starts = conversation.iter().map(|(at, message)| {
        // What a repair says to the model is part of the newest turn.
        message.role == ChatRole::User && *at <= newest
    });
    let starts: Vec<bool> = starts.collect();
    let fitted = fit::fit(&starts, fixed, room, |at| {
        conversation
            .get(at)
            .map_or(0, |(_, message)| tokens(message))
    });
    let Some(fitted) = fitted else {
        let limit = u32::try_from(window).ok();
        return Err(LlmError::ContextExceeded { limit });
    };
    if fitted.from > 0 {
        tracing::debug!(
            model,
            left_out = fitted.from,
            "the oldest messages have no room"
        );
    }
    let kept = conversation.iter().skip(fitted.from);
    let messages = system
        .iter()
        .chain(kept)
        .map(|(_, message)| (*message).clone());
    let request = ChatRequest {
        messages: messages.collect(),
        ..without_messages(request)
    };
    Ok((request, fitted.tokens))
}

fn without_messages(request: &ChatRequest) -> ChatRequest {
    ChatRequest {
        model: String::new(),
        messages: Vec::new(),
        sampling: request.sampling,
        max_output_tokens: request.max_output_tokens,
        tools: request.tools.clone(),
        tool_choice: request.tool_choice.clone(),
        parallel_tool_calls: request.parallel_tool_calls,
        output_schema: request.output_schema.clone(),
    }
}
