//! The parts of an answer, between a vendor's decoder and the executor.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::Span;

use super::calls::{CallDelta, ToolCalls};
use super::error::Unusable;
use super::lenient::OddCount;
use super::provider_error::{ProviderError, Redaction};
use super::reasoning_tags::{Said, Thinking};
use super::signed_reasoning::{Bindings, Signer};
use super::split_characters::{SplitCharacters, whole};
use super::sse::SseError;
use super::{LlmError, StreamPart};
use talkgraph_domain::{FinishReason, Usage};

/// The reason why an answer cannot be read further.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The bytes are not valid events.
    Sse(SseError),
    /// The events report an error, which is logged already.
    Reported(LlmError),
}

impl From<SseError> for ReadError {
    fn from(error: SseError) -> Self {
        Self::Sse(error)
    }
}

/// The parts of an answer that are decoded and not yet consumed.
pub(super) struct Parts {
    provider: Arc<str>,
    /// The attempt's span: parts are decoded outside of it, because entering a span costs more than
    /// most parts do.
    span: Span,
    redaction: Redaction,
    /// The bindings of the request.
    bindings: Bindings,
    /// A signature that belongs to the next call.
    held: Option<(Signer, String)>,
    ready: VecDeque<StreamPart>,
    calls: ToolCalls,
    /// The separation of reasoning from text.
    thinking: Thinking,
    text_halves: SplitCharacters,
    reasoning_halves: SplitCharacters,
    has_text: bool,
    has_reasoning: bool,
    has_calls: bool,
    /// The model has called a tool in a way that its provider could not parse.
    is_malformed: bool,
    /// Held back to the end, as some providers send a reason with every chunk and others repeat it
    /// with the usage. The last one counts.
    finish: Option<FinishReason>,
    done: bool,
    seen: u64,
}

impl Parts {
    /// Creates an empty queue within the span of the attempt. The name of the provider and the
    /// redaction are for the log, the bindings for the provider's signatures.
    pub(super) fn new(provider: Arc<str>, redaction: Redaction, bindings: Bindings) -> Self {
        Self {
            provider,
            span: Span::current(),
            redaction,
            bindings,
            held: None,
            ready: VecDeque::new(),
            calls: ToolCalls::default(),
            thinking: Thinking::default(),
            text_halves: SplitCharacters::default(),
            reasoning_halves: SplitCharacters::default(),
            has_text: false,
            has_reasoning: false,
            has_calls: false,
            is_malformed: false,
            finish: None,
            done: false,
            seen: 0,
        }
    }

    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// The span for logging about the answer.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Removes the oldest part.
    pub(super) fn next(&mut self) -> Option<StreamPart> {
        self.ready.pop_front()
    }

    /// The number of parts and finish reasons so far, which measures progress.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Returns true if the provider has marked the end.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Adds text of the answer. Reasoning in tags at its beginning is separated.
    pub(super) fn text(&mut self, text: Option<String>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        self.seen += 1;
        self.has_text = true;
        self.release_held(None);
        let text = self.text_halves.join(text);
        let ready = &mut self.ready;
        if !text.is_empty() {
            self.thinking.read(text, &mut |said| give(ready, said));
        }
    }

    /// Adds text of the reasoning.
    pub(super) fn reasoning(&mut self, text: Option<String>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        self.seen += 1;
        self.has_reasoning = true;
        self.interrupt_text();
        let text = self.reasoning_halves.join(text);
        if !text.is_empty() {
            self.ready.push_back(StreamPart::Reasoning(text));
        }
    }

    /// Returns true if any text has arrived.
    pub(super) fn has_text(&self) -> bool {
        self.has_text
    }

    /// Returns true if any reasoning has arrived in its own field.
    pub(super) fn has_reasoning(&self) -> bool {
        self.has_reasoning
    }

    /// Returns true if any piece of a call has arrived.
    pub(super) fn has_calls(&self) -> bool {
        self.has_calls
    }

    fn interrupt_text(&mut self) {
        self.release_held(None);
        let ready = &mut self.ready;
        self.thinking.interrupt(&mut |said| give(ready, said));
    }

    /// Emits held back text at the end.
    fn end_texts(&mut self) {
        let ready = &mut self.ready;
        if let Some(text) = self.reasoning_halves.flush() {
            ready.push_back(StreamPart::Reasoning(text));
        }
        if let Some(text) = self.text_halves.flush() {
            self.thinking.read(text, &mut |said| give(ready, said));
        }
        self.thinking.flush(&mut |said| give(ready, said));
    }

    /// Ends a reasoning with its signature: the signer and the binding, then the proof.
    pub(super) fn signature(&mut self, signer: Signer, proof: &str) {
        self.interrupt_text();
        if signer.names_call() {
            self.held = Some((signer, proof.to_owned()));
        } else {
            self.sign(signer, proof);
        }
        self.seen += 1;
    }

    fn sign(&mut self, signer: Signer, proof: &str) {
        let signature = whole(self.bindings.signature(signer, proof));
        self.ready
            .push_back(StreamPart::ReasoningSignature(signature));
    }

    /// Emits the held back signature, with the next call if there is one.
    fn release_held(&mut self, call: Option<&str>) {
        if let Some((signer, mut proof)) = self.held.take() {
            if let Some(call) = call {
                proof = format!("{proof}:{call}");
            }
            self.sign(signer, &proof);
        }
    }

    /// Adds a piece of a tool call.
    pub(super) fn call(&mut self, mut delta: CallDelta) -> Result<(), ReadError> {
        for text in [&mut delta.id, &mut delta.name] {
            *text = text.take().map(whole);
        }
        self.has_calls = true;
        self.release_held(delta.id.as_deref());
        self.interrupt_text();
        let ready = &mut self.ready;
        let read = self.calls.read(delta, |part| ready.push_back(part));
        self.seen += 1;
        read.map_err(|error| ReadError::Reported(self.unusable(error)))
    }

    /// Completes a tool call.
    pub(super) fn call_completed(&mut self, key: u64) {
        let ready = &mut self.ready;
        self.calls.complete(key, |part| ready.push_back(part));
        self.seen += 1;
    }

    /// Returns true if arguments of this call have arrived.
    pub(super) fn has_arguments(&self, key: u64) -> bool {
        self.calls.has_arguments(key)
    }

    /// Completes the arguments of a call: adds those that did not arrive in pieces.
    pub(super) fn whole_arguments(&mut self, key: u64, arguments: String) -> Result<(), ReadError> {
        let ready = &mut self.ready;
        let read = self
            .calls
            .settle(key, arguments, |part| ready.push_back(part));
        self.seen += 1;
        read.map_err(|error| ReadError::Reported(self.unusable(error)))
    }

    /// Sets the usage so far, if known.
    pub(super) fn usage(&mut self, usage: Result<Usage, OddCount>) {
        let part = usage.map_or(StreamPart::UsageUnknown, StreamPart::Usage);
        self.ready.push_back(part);
    }

    /// Records a tool call that its provider could not parse. Before any other part another attempt
    /// may succeed; after that the answer so far stays, and the model can be informed.
    pub(super) fn malformed(&mut self) -> Result<(), ReadError> {
        let error = self.unusable(Unusable::Malformed);
        if self.seen == 0 {
            return Err(ReadError::Reported(error));
        }
        self.is_malformed = true;
        self.finish(FinishReason::ToolCalls);
        Ok(())
    }

    /// Sets the finish reason. More may follow, another reason included.
    pub(super) fn finish(&mut self, reason: FinishReason) {
        self.finish = Some(reason);
        self.seen += 1;
    }

    /// Ends the answer. A provider that sends no finish reason has still marked the answer as
    /// complete; one that sent nothing at all has not answered.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        if self.finish.is_none() {
            if self.seen == 0 {
                return Err(ReadError::Reported(LlmError::Protocol));
            }
            self.finish = Some(FinishReason::Stop);
        }
        self.done = true;
        Ok(())
    }

    /// Completes the tool calls and appends the finish reason to the parts; false if none has
    /// arrived.
    pub(super) fn release_finish(&mut self) -> Result<bool, LlmError> {
        self.release_held(None);
        self.end_texts();
        let Some(reason) = self.finish.take() else {
            return Ok(false);
        };
        let cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        let ready = &mut self.ready;
        let finished = self.calls.finish(cut, |part| ready.push_back(part));
        finished.map_err(|error| self.unusable(error))?;
        // Many servers report `stop` when they called tools, and some the reverse.
        let reason = match (reason, self.calls.is_empty()) {
            (FinishReason::Stop, false) => FinishReason::ToolCalls,
            (FinishReason::ToolCalls, true) if !self.is_malformed => FinishReason::Stop,
            (reason, _) => reason,
        };
        self.ready.push_back(StreamPart::Finish(reason));
        Ok(true)
    }

    /// Reports an error inside an answer that began successfully.
    pub(super) fn fault(&mut self, fault: &ProviderError) -> ReadError {
        fault.log(&self.span, &self.provider, 200, &self.redaction);
        // An earlier finish reason is void: the provider retracts its answer.
        self.finish = None;
        ReadError::Reported(fault.in_stream())
    }

    /// Logs the position alone: serde's messages repeat the text.
    pub(super) fn unreadable(&self, error: &serde_json::Error) -> ReadError {
        tracing::warn!(
            parent: &self.span,
            provider = &*self.provider,
            kind = ?error.classify(),
            column = error.column(),
            "unexpected JSON in a model's answer"
        );
        ReadError::Reported(LlmError::Protocol)
    }

    /// Reports an unusable answer, which is the fault of the model or its caller: the provider is
    /// healthy.
    pub(super) fn unusable(&self, error: Unusable) -> LlmError {
        tracing::warn!(parent: &self.span, provider = &*self.provider, %error, "model answer unusable");
        LlmError::Unusable(error)
    }
}

fn give(ready: &mut VecDeque<StreamPart>, said: Said) {
    ready.push_back(match said {
        Said::Text(text) => StreamPart::Text(text),
        Said::Reasoning(text) => StreamPart::Reasoning(text),
        Said::AllWasReasoning => StreamPart::TextWasReasoning,
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::{Parts, ReadError};
    use crate::protocol::Decode;
    use crate::provider_error::Redaction;
    use crate::signed_reasoning::Bindings;
    use crate::sse::SseEvent;
    use crate::{LlmError, StreamPart};

    /// The decoded parts of these events' data, read as an answer is.
    pub(crate) fn read(
        decoder: &mut impl Decode,
        events: &[&str],
    ) -> (Vec<StreamPart>, Option<LlmError>) {
        let mut parts = Parts::new("test".into(), Redaction::default(), Bindings::default());
        let name = "message";
        let mut read = events.iter().map(|data| {
            if parts.is_done() || data.trim().is_empty() {
                return Ok(());
            }
            decoder.event(SseEvent { name, data }, &mut parts)
        });
        let error = match read.find_map(Result::err) {
            Some(ReadError::Reported(error)) => Some(error),
            _ => None,
        };
        parts.release_finish().unwrap();
        (std::iter::from_fn(|| parts.next()).collect(), error)
    }
}
