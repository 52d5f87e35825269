//! One answer, from prompt to finish, in turns. Runs on the engine's own threads.

use candle_core::Tensor;
use tokio::sync::mpsc::Sender;

use super::conversations::Conversations;
use super::error::EmbeddedError;
use super::form::{Form, Forms};
use super::kv::KvCache;
use super::model::Model;
use super::sampling::Sampler;
use super::template::ChatTemplate;
use super::tokenizer::{Tokenizer, Utf8Assembler};
use super::weights::Gguf;
use crate::{ChatRequest, StreamPart};
use talkgraph_domain::{FinishReason, Usage};

/// The number of prompt tokens in one turn, some 0.3 s.
const PREFILL_TOKENS: usize = 64;
/// The number of answer tokens in one turn: about as long.
const ANSWER_TOKENS: usize = 8;
/// The tokens that end an answer.
const STOP_TOKENS: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];
/// The number of tokens, at most half of an answer, that are reserved for closing a structured
/// answer once its texts and lists have become too long.
const CLOSING_TOKENS: usize = 96;

/// The channel of an answer's parts.
pub(crate) type PartSender = Sender<Result<StreamPart, EmbeddedError>>;

/// The model with its tokenizer and template, shared by the engine's threads.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: ChatTemplate,
    pub(crate) conversations: Conversations,
    forms: Forms,
    stop_tokens: Vec<u32>,
    context_tokens: usize,
}

/// The end of an answer; `None` when the receiver is gone.
type Ending = Option<(FinishReason, Usage)>;

/// The outcome of a turn.
enum Turn {
    /// The answer is incomplete.
    More,
    Ended(Ending),
}

/// An active request.
pub(crate) struct Answering {
    request: ChatRequest,
    parts: PartSender,
    /// None before the first turn.
    work: Option<Work>,
}

struct Work {
    prompt: Vec<u32>,
    cache: KvCache,
    usage: Usage,
    sampler: Sampler,
    form: Option<Form>,
    text: Utf8Assembler,
    answer: Vec<u32>,
    limit: usize,
    /// The model's state after the last token that was read.
    state: Option<Tensor>,
}

impl Answering {
    pub(crate) fn new(request: ChatRequest, parts: PartSender) -> Self {
        Self {
            request,
            parts,
            work: None,
        }
    }

    /// Ends the answer with an error. The receiver may be gone, and then needs none.
    pub(crate) fn fail(&self, error: EmbeddedError) {
        let _ = self.parts.try_send(Err(error));
    }
}

impl Loaded {
    /// Loads all parts from the file.
    pub(crate) fn new(
        gguf: &Gguf,
        context_tokens: usize,
        cached_conversations: usize,
    ) -> Result<Self, EmbeddedError> {
        let model = Model::load(gguf, context_tokens)?;
        let tokenizer = Tokenizer::load(gguf)?;
        let stop_tokens: Vec<_> = STOP_TOKENS
            .iter()
            .filter_map(|name| tokenizer.special(name))
            .collect();
        Ok(Self {
            conversations: Conversations::new(model.kv_shape(), cached_conversations),
            forms: Forms::new(&tokenizer, stop_tokens.first().copied().unwrap_or_default())?,
            stop_tokens,
            template: ChatTemplate::load(gguf)?,
            model,
            tokenizer,
            context_tokens,
        })
    }

    /// The maximum number of tokens of one answer, and nearly of its parts.
    pub(crate) fn answer_limit(&self, request: &ChatRequest) -> usize {
        let asked = request.max_output_tokens.map(usize::try_from);
        asked
            .and_then(Result::ok)
            .unwrap_or(self.context_tokens)
            .min(self.context_tokens)
    }

    /// Refuses a prompt that cannot fit by its length alone, before any work.
    pub(crate) fn check_length(&self, request: &ChatRequest) -> Result<(), EmbeddedError> {
        let bytes = request
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .map(|content| content.as_text().map_or(0, str::len))
            .sum();
        self.check_tokens(self.tokenizer.fewest_tokens(bytes))
    }

    /// Executes one turn: reads a slice of the prompt, or generates some tokens. Returns false once
    /// the answer has ended. A failure is the last item for the receiver.
    pub(crate) fn turn(&self, answering: &mut Answering) -> bool {
        let turn = self.try_turn(answering);
        if matches!(turn, Ok(Turn::More)) {
            return true;
        }
        // Kept in any case: the tokens read so far help the next attempt.
        if let Some(work) = answering.work.take() {
            self.conversations.put(work.cache);
        }
        match turn {
            Ok(Turn::Ended(Some((reason, usage)))) => {
                send(&answering.parts, StreamPart::Usage(usage));
                send(&answering.parts, StreamPart::Finish(reason));
            }
            Ok(_) => {}
            Err(error) => answering.fail(error),
        }
        false
    }

    fn try_turn(&self, answering: &mut Answering) -> Result<Turn, EmbeddedError> {
        let Answering {
            request,
            parts,
            work,
        } = answering;
        if parts.is_closed() {
            return Ok(Turn::Ended(None));
        }
        let work = match work {
            Some(work) => work,
            None => work.insert(self.begin(request)?),
        };
        let unread = work.prompt.get(work.cache.tokens().len()..);
        match unread.unwrap_or_default() {
            [] => self.write(work, parts),
            unread => {
                let slice = unread.get(..PREFILL_TOKENS).unwrap_or(unread).to_vec();
                work.state = Some(self.model.advance(&slice, &mut work.cache)?);
                Ok(Turn::More)
            }
        }
    }

    fn begin(&self, request: &ChatRequest) -> Result<Work, EmbeddedError> {
        let prompt = self.template.encode(&request.messages, &self.tokenizer)?;
        self.check_tokens(prompt.len())?;
        let output = request.output_schema.as_ref();
        let form = output.map(|output| self.forms.of(&output.schema));
        let form = form.transpose()?;
        let cache = self.conversations.take(&prompt)?;
        let room = self.context_tokens - prompt.len().min(self.context_tokens);
        Ok(Work {
            usage: Usage {
                input_tokens: count(prompt.len()),
                cached_input_tokens: count(cache.tokens().len()),
                ..Usage::default()
            },
            prompt,
            cache,
            sampler: Sampler::new(request.sampling),
            form,
            text: Utf8Assembler::default(),
            answer: Vec::new(),
            limit: self.answer_limit(request).min(room),
            state: None,
        })
    }

    /// Generates the next tokens of the answer.
    fn write(&self, work: &mut Work, parts: &PartSender) -> Result<Turn, EmbeddedError> {
        for _ in 0..ANSWER_TOKENS {
            let state = work.state.take().filter(|_| work.answer.len() < work.limit);
            let Some(state) = state else {
                return Ok(end(work, parts, FinishReason::Length));
            };
            let token = self.next_token(work, &state)?;
            work.usage.output_tokens += 1;
            if self.stop_tokens.contains(&token) {
                return Ok(end(work, parts, FinishReason::Stop));
            }
            work.answer.push(token);
            if !send_text(parts, work.text.push(self.tokenizer.bytes(token))) {
                return Ok(Turn::Ended(None));
            }
            if let Some(form) = &mut work.form
                && form.accept(token)?
            {
                return Ok(end(work, parts, FinishReason::Stop));
            }
            work.state = Some(match work.answer.len() < work.limit {
                true => self.model.advance(&[token], &mut work.cache)?,
                false => state,
            });
        }
        Ok(Turn::More)
    }

    fn next_token(&self, work: &mut Work, state: &Tensor) -> Result<u32, EmbeddedError> {
        let logits = self.model.logits(state)?;
        let Some(form) = &mut work.form else {
            return Ok(work.sampler.next(logits, &work.answer));
        };
        let allowed = form.allowed()?;
        let left = work.limit - work.answer.len();
        if left <= CLOSING_TOKENS.min(work.limit / 2) {
            // Brackets and quotes close open values.
            let closes = |token: &u32| {
                let bytes = self.tokenizer.bytes(*token);
                !bytes.is_empty() && bytes.iter().all(|byte| b"\"]}".contains(byte))
            };
            let closing = allowed.iter().filter(closes);
            let longest = closing.max_by_key(|token| self.tokenizer.bytes(*token).len());
            if let Some(token) = longest {
                return Ok(token);
            }
        }
        let is_allowed = |token| allowed.is_allowed(token);
        Ok(work.sampler.next_of(logits, &work.answer, is_allowed))
    }

    /// Checks that there is room for at least one token of the answer.
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

fn end(work: &mut Work, parts: &PartSender, reason: FinishReason) -> Turn {
    send_text(parts, std::mem::take(&mut work.text).finish());
    Turn::Ended(Some((reason, work.usage)))
}

/// Sends text, if there is any; false when the receiver is gone.
fn send_text(parts: &PartSender, text: String) -> bool {
    if text.is_empty() {
        return !parts.is_closed();
    }
    send(parts, StreamPart::Text(text))
}

/// The channel has room for all possible parts, so this never waits: a reader that stalls never
/// delays the next request.
fn send(parts: &PartSender, part: StreamPart) -> bool {
    parts.try_send(Ok(part)).is_ok()
}

fn count(tokens: usize) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}
