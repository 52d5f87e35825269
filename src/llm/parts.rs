//! The parts of an answer, on their way from a vendor's decoder to the executor.

use std::collections::VecDeque;
use std::sync::Arc;

use tracing::Span;

use super::calls::{CallDelta, ToolCalls};
use super::error::Unusable;
use super::fault::{Fault, Redaction};
use super::past::{Bindings, Signer};
use super::sse::SseError;
use super::{LlmError, StreamPart};
use crate::domain::{FinishReason, Usage};

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

    /// Text of the answer.
    pub(super) fn text(&mut self, text: Option<String>) {
        self.push(text, StreamPart::Text);
    }

    /// Text of the reasoning.
    pub(super) fn reasoning(&mut self, text: Option<String>) {
        self.push(text, StreamPart::Reasoning);
    }

    /// The end of a reasoning, with its signer and what binds it before its proof.
    pub(super) fn signature(&mut self, signer: Signer, proof: &str) {
        self.release_held(None);
        if signer.names_call() {
            self.held = Some((signer, proof.to_owned()));
            self.seen += 1;
            return;
        }
        let signature = self.bindings.signature(signer, proof);
        self.push(Some(signature), StreamPart::ReasoningSignature);
    }

    /// Gives the signature that waits, with the call that comes next if one does.
    fn release_held(&mut self, call: Option<&str>) {
        let Some((signer, mut proof)) = self.held.take() else {
            return;
        };
        if let Some(call) = call {
            proof = format!("{proof}:{call}");
        }
        let signature = self.bindings.signature(signer, &proof);
        self.push(Some(signature), StreamPart::ReasoningSignature);
    }

    fn push(&mut self, text: Option<String>, part: fn(String) -> StreamPart) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.release_held(None);
            self.ready.push_back(part(without_nul(text)));
            self.seen += 1;
        }
    }

    /// A piece of a tool call.
    pub(super) fn call(&mut self, mut delta: CallDelta) -> Result<(), ReadError> {
        for text in [&mut delta.id, &mut delta.name, &mut delta.arguments] {
            *text = text.take().map(without_nul);
        }
        self.release_held(delta.id.as_deref());
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

    /// What the call has used so far.
    pub(super) fn usage(&mut self, usage: Usage) {
        self.ready.push_back(StreamPart::Usage(usage));
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
            (FinishReason::ToolCalls, true) => FinishReason::Stop,
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

/// PostgreSQL stores no U+0000; one in a model's answer must not fail the run.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::{Parts, ReadError};
    use crate::llm::fault::Redaction;
    use crate::llm::past::Bindings;
    use crate::llm::protocol::Decode;
    use crate::llm::sse::SseEvent;
    use crate::llm::{LlmError, StreamPart};

    /// What a decoder makes of these events' data, read as an answer is read.
    pub(in crate::llm) fn read(
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
