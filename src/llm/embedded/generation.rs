//! One answer, from prompt to finish. Runs on a thread of the engine's own.

use tokio::sync::mpsc::Sender;

use super::conversations::Conversations;
use super::error::EmbeddedError;
use super::kv::KvCache;
use super::model::Model;
use super::sampling::Sampler;
use super::template::ChatTemplate;
use super::tokenizer::{Tokenizer, Utf8Assembler};
use super::weights::Gguf;
use crate::domain::{FinishReason, Usage};
use crate::llm::{ChatRequest, StreamPart};

/// Prompt tokens read between two looks at whether anybody still waits: some 0.3 s.
const PREFILL_TOKENS: usize = 64;
/// What ends an answer.
const STOP_TOKENS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// Where an answer's parts go.
pub(crate) type PartSender = Sender<Result<StreamPart, EmbeddedError>>;

/// The model with all that is needed around it, shared by the engine's threads.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: ChatTemplate,
    pub(crate) conversations: Conversations,
    stop_tokens: Vec<u32>,
    context_tokens: usize,
}

/// How an answer ended; `None` when nobody waits for it any more.
type Ending = Option<(FinishReason, Usage)>;

impl Loaded {
    /// Takes everything out of the file.
    pub(crate) fn new(
        gguf: &Gguf,
        context_tokens: usize,
        cached_conversations: usize,
    ) -> Result<Self, EmbeddedError> {
        let model = Model::load(gguf, context_tokens)?;
        let tokenizer = Tokenizer::load(gguf)?;
        Ok(Self {
            conversations: Conversations::new(model.kv_shape(), cached_conversations),
            stop_tokens: STOP_TOKENS
                .iter()
                .filter_map(|name| tokenizer.special(name))
                .collect(),
            template: ChatTemplate::load(gguf)?,
            model,
            tokenizer,
            context_tokens,
        })
    }

    /// The most tokens of one answer; also the most parts it can have, but for a few.
    pub(crate) fn answer_limit(&self, request: &ChatRequest) -> usize {
        let asked = request.max_output_tokens.map(usize::try_from);
        asked
            .and_then(Result::ok)
            .unwrap_or(self.context_tokens)
            .min(self.context_tokens)
    }

    /// Refuses a prompt that cannot fit by its length alone, before anything is spent on it.
    pub(crate) fn check_length(&self, request: &ChatRequest) -> Result<(), EmbeddedError> {
        let bytes = request
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .map(|content| content.as_text().map_or(0, str::len))
            .sum();
        self.check_tokens(self.tokenizer.fewest_tokens(bytes))
    }

    /// Makes the answer. A failure is the last thing the receiver gets.
    pub(crate) fn answer(&self, request: &ChatRequest, parts: &PartSender) {
        let last = match self.try_answer(request, parts) {
            Ok(None) => return,
            Ok(Some((reason, usage))) => {
                send(parts, StreamPart::Usage(usage));
                Ok(StreamPart::Finish(reason))
            }
            Err(error) => Err(error),
        };
        // The receiver may be gone, and then nobody wants to know.
        let _ = parts.try_send(last);
    }

    fn try_answer(
        &self,
        request: &ChatRequest,
        parts: &PartSender,
    ) -> Result<Ending, EmbeddedError> {
        let prompt = self.template.encode(&request.messages, &self.tokenizer)?;
        self.check_tokens(prompt.len())?;
        let mut cache = self.conversations.take(&prompt)?;
        let ending = self.run(request, &prompt, &mut cache, parts);
        // Kept whatever happened: the tokens read so far are good for the next try.
        self.conversations.put(cache);
        ending
    }

    fn run(
        &self,
        request: &ChatRequest,
        prompt: &[u32],
        cache: &mut KvCache,
        parts: &PartSender,
    ) -> Result<Ending, EmbeddedError> {
        let mut usage = Usage {
            input_tokens: count(prompt.len()),
            cached_input_tokens: count(cache.tokens().len()),
            ..Usage::default()
        };
        let mut next = None;
        for chunk in prompt
            .get(cache.tokens().len()..)
            .unwrap_or_default()
            .chunks(PREFILL_TOKENS)
        {
            if parts.is_closed() {
                return Ok(None);
            }
            next = Some(self.model.advance(chunk, cache)?);
        }
        let mut sampler = Sampler::new(request.sampling);
        let mut text = Utf8Assembler::default();
        let mut answer = Vec::new();
        let room = self.context_tokens - prompt.len().min(self.context_tokens);
        let limit = self.answer_limit(request).min(room);
        let reason = loop {
            let Some(state) = next.filter(|_| answer.len() < limit) else {
                break FinishReason::Length;
            };
            let token = sampler.next(self.model.logits(&state)?, &answer);
            usage.output_tokens += 1;
            if self.stop_tokens.contains(&token) {
                break FinishReason::Stop;
            }
            answer.push(token);
            if !send_text(parts, text.push(self.tokenizer.bytes(token))) {
                return Ok(None);
            }
            next = Some(match answer.len() < limit {
                true => self.model.advance(&[token], cache)?,
                false => state,
            });
        };
        send_text(parts, text.finish());
        Ok(Some((reason, usage)))
    }

    /// There must be room for at least one token of the answer.
    fn check_tokens(&self, prompt_tokens: usize) -> Result<(), EmbeddedError> {
        if prompt_tokens < self.context_tokens {
            return Ok(());
        }
        Err(EmbeddedError::ContextExceeded {
            prompt_tokens,
            limit: self.context_tokens,
        })
    }
}

/// Gives out text, if there is any; false when nobody waits for it any more.
fn send_text(parts: &PartSender, text: String) -> bool {
    if text.is_empty() {
        return !parts.is_closed();
    }
    send(parts, StreamPart::Text(text))
}

/// The channel has room for every part there can be, so this never waits and a full
/// channel cannot occur: a reader that stalls never holds up the next request.
fn send(parts: &PartSender, part: StreamPart) -> bool {
    parts.try_send(Ok(part)).is_ok()
}

fn count(tokens: usize) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}
