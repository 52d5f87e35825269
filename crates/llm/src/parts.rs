//! The parts of an answer, on their way from a vendor's decoder to the executor.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::Span;

use super::calls::{CallDelta, ToolCalls};
use super::error::Unusable;
use super::fault::{Fault, Redaction};
use super::halves::{Halves, whole};
use super::lenient::OddCount;
use super::past::{Bindings, Signer};
use super::sse::SseError;
use super::think::{Said, Thinking};
use super::{LlmError, StreamPart};
use talkgraph_domain::{FinishReason, Usage};

/// Why an answer cannot be read further.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Its bytes are no events.
    Sse(SseError),
    /// Its events say so. It is in the log already.
    Told(LlmError),
}

impl From<SseError> for ReadError {
    fn from(error: SseError) -> Self {
        Self::Sse(error)
    }
}

/// The parts of an answer that have been decoded and not been taken.
pub(super) struct Parts {
    provider: Arc<str>,
    /// The attempt's: the parts are read outside of it, because entering a span costs more
    /// than most parts do.
    span: Span,
    redaction: Redaction,
    /// Of the request that is answered.
    bindings: Bindings,
    /// A signature that waits for the call after it.
    held: Option<(Signer, String)>,
    ready: VecDeque<StreamPart>,
    calls: ToolCalls,
    /// What has been said as text: some of it may be reasoning.
    thinking: Thinking,
    text_halves: Halves,
    reasoning_halves: Halves,
    has_text: bool,
    has_reasoning: bool,
    has_calls: bool,
    /// The model has called a tool in a way that its provider could not read.
    is_malformed: bool,
    /// Held back to the end, as some providers give a reason with every chunk and others
    /// repeat it beside the usage. The last one counts.
    finish: Option<FinishReason>,
    done: bool,
    seen: u64,
}

impl Parts {
    /// No parts yet, within the span of the attempt. The name of the provider and the redaction
    /// are for the log, the bindings for what the provider signs.
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
            text_halves: Halves::default(),
            reasoning_halves: Halves::default(),
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

    /// The span of what is logged of the answer.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Takes the oldest part.
    pub(super) fn next(&mut self) -> Option<StreamPart> {
        self.ready.pop_front()
    }

    /// How many parts and finish reasons have come: what is progress.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether the provider has said that nothing more comes.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Text of the answer. Reasoning between tags at its beginning is told apart.
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

    /// Text of the reasoning.
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

    /// Whether any text has come.
    pub(super) fn has_text(&self) -> bool {
        self.has_text
    }

    /// Whether any reasoning has come, as such.
    pub(super) fn has_reasoning(&self) -> bool {
        self.has_reasoning
    }

    /// Whether any piece of a call has come.
    pub(super) fn has_calls(&self) -> bool {
        self.has_calls
    }

    fn interrupt_text(&mut self) {
        self.release_held(None);
        let ready = &mut self.ready;
        self.thinking.interrupt(&mut |said| give(ready, said));
    }

    /// Gives what waits for more text, as there is no more.
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

    /// The end of a reasoning, with its signer and what binds it before its proof.
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

    /// Gives the signature that waits, with the call that comes next if one does.
    fn release_held(&mut self, call: Option<&str>) {
        if let Some((signer, mut proof)) = self.held.take() {
            if let Some(call) = call {
                proof = format!("{proof}:{call}");
            }
            self.sign(signer, &proof);
        }
    }

    /// A piece of a tool call.
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
        read.map_err(|error| ReadError::Told(self.unusable(error)))
    }

    /// A tool call is complete.
    pub(super) fn call_completed(&mut self, key: u64) {
        let ready = &mut self.ready;
        self.calls.complete(key, |part| ready.push_back(part));
        self.seen += 1;
    }

    /// Whether arguments of this call have come.
    pub(super) fn has_arguments(&self, key: u64) -> bool {
        self.calls.has_arguments(key)
    }

    /// All arguments of a call, once they are complete: gives what has not come in pieces.
    pub(super) fn whole_arguments(&mut self, key: u64, arguments: String) -> Result<(), ReadError> {
        let ready = &mut self.ready;
        let read = self
            .calls
            .settle(key, arguments, |part| ready.push_back(part));
        self.seen += 1;
        read.map_err(|error| ReadError::Told(self.unusable(error)))
    }

    /// What the call has used so far, if that can be known.
    pub(super) fn usage(&mut self, usage: Result<Usage, OddCount>) {
        let part = usage.map_or(StreamPart::UsageUnknown, StreamPart::Usage);
        self.ready.push_back(part);
    }

    /// The model has tried to call a tool, and its provider could not read the call. Before
    /// anything else has come another try may be readable; after that the answer so far stays,
    /// and the model can be informed.
    pub(super) fn malformed(&mut self) -> Result<(), ReadError> {
        let error = self.unusable(Unusable::Malformed);
        if self.seen == 0 {
            return Err(ReadError::Told(error));
        }
        self.is_malformed = true;
        self.finish(FinishReason::ToolCalls);
        Ok(())
    }

    /// Why the model has stopped. More may come, another reason included.
    pub(super) fn finish(&mut self, reason: FinishReason) {
        self.finish = Some(reason);
        self.seen += 1;
    }

    /// Nothing more comes. Providers that give no reason have said all the same that the
    /// answer is complete; one that gave nothing at all has not answered.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        if self.finish.is_none() {
            if self.seen == 0 {
                return Err(ReadError::Told(LlmError::Protocol));
            }
            self.finish = Some(FinishReason::Stop);
        }
        self.done = true;
        Ok(())
    }

    /// Completes the tool calls and puts the finish reason behind all other parts; false
    /// if none has come.
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
        // Many servers say that they stopped when they called tools, and some the reverse.
        let reason = match (reason, self.calls.is_empty()) {
            (FinishReason::Stop, false) => FinishReason::ToolCalls,
            (FinishReason::ToolCalls, true) if !self.is_malformed => FinishReason::Stop,
            (reason, _) => reason,
        };
        self.ready.push_back(StreamPart::Finish(reason));
        Ok(true)
    }

    /// An error inside an answer that began well.
    pub(super) fn fault(&mut self, fault: &Fault) -> ReadError {
        fault.log(&self.span, &self.provider, 200, &self.redaction);
        // A reason that came before is void: the provider takes its answer back.
        self.finish = None;
        ReadError::Told(fault.in_stream())
    }

    /// Logs where, not what: serde's messages repeat the text that they stumbled over.
    pub(super) fn unreadable(&self, error: &serde_json::Error) -> ReadError {
        tracing::warn!(
            parent: &self.span,
            provider = &*self.provider,
            kind = ?error.classify(),
            column = error.column(),
            "a model's answer has an event that is not the expected JSON"
        );
        ReadError::Told(LlmError::Protocol)
    }

    /// An unusable answer is the fault of the model or its caller: the provider is well.
    pub(super) fn unusable(&self, error: Unusable) -> LlmError {
        tracing::warn!(parent: &self.span, provider = &*self.provider, %error, "a model's answer cannot be used");
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
    use crate::fault::Redaction;
    use crate::past::Bindings;
    use crate::protocol::Decode;
    use crate::sse::SseEvent;
    use crate::{LlmError, StreamPart};

    /// What a decoder makes of these events' data, read as an answer is read.
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
            Some(ReadError::Told(error)) => Some(error),
            _ => None,
        };
        parts.release_finish().unwrap();
        (std::iter::from_fn(|| parts.next()).collect(), error)
    }
}
