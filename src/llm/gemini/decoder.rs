//! From a stream's events to parts.
//!
//! There is no last event: the answer is over when the body ends, and complete if a finish
//! reason has come by then.

use super::event::{Candidate, FunctionCall, Part, Response};
use super::{SIGNED_CALL, SIGNED_TEXT};
use crate::domain::FinishReason;
use crate::llm::calls::CallDelta;
use crate::llm::error::Unusable;
use crate::llm::fault::Fault;
use crate::llm::parts::{Parts, ReadError};
use crate::llm::protocol::Decode;
use crate::llm::sse::SseEvent;

#[cfg(test)]
mod tests;

#[derive(Default)]
pub(super) struct Decoder {
    /// How many calls have come: they have no number of their own.
    calls: u64,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        let response = serde_json::from_str(event.data);
        self.response(response.map_err(|error| parts.unreadable(&error))?, parts)
    }

    /// Without `alt=sse` a stream is a list of responses.
    fn whole(&mut self, body: &[u8], parts: &mut Parts) -> Result<(), ReadError> {
        let is_list = body.trim_ascii_start().starts_with(b"[");
        let responses = if is_list {
            serde_json::from_slice(body)
        } else {
            serde_json::from_slice(body).map(|one| vec![one])
        };
        for response in responses.map_err(|error| parts.unreadable(&error))? {
            self.response(response, parts)?;
        }
        Ok(())
    }
}

impl Decoder {
    fn response(&mut self, response: Response, parts: &mut Parts) -> Result<(), ReadError> {
        if let Some(error) = response.error {
            return Err(parts.fault(&Fault::of_value(&error)));
        }
        if let Some(counts) = response.usage_metadata {
            parts.usage(counts.usage());
        }
        let feedback = response.prompt_feedback;
        if feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            parts.finish(FinishReason::ContentFilter);
        }
        let candidate = response.candidates.and_then(|all| all.into_iter().next());
        candidate.map_or(Ok(()), |candidate| self.candidate(candidate, parts))
    }

    fn candidate(&mut self, candidate: Candidate, parts: &mut Parts) -> Result<(), ReadError> {
        let content = candidate.content.and_then(|content| content.parts);
        for part in content.into_iter().flatten() {
            self.part(part, parts)?;
        }
        match candidate
            .finish_reason
            .map(|reason| (reason, reason.finish()))
        {
            None => Ok(()),
            Some((_, Some(reason))) => {
                parts.finish(reason);
                Ok(())
            }
            Some((reason, None)) => {
                let provider = parts.provider();
                tracing::warn!(parent: parts.span(), provider, ?reason, "a model has stopped without an answer");
                Err(ReadError::Told(parts.unusable(Unusable::Malformed)))
            }
        }
    }

    fn part(&mut self, part: Part, parts: &mut Parts) -> Result<(), ReadError> {
        let signature = part.thought_signature.filter(|text| !text.is_empty());
        if let Some(call) = part.function_call {
            if let Some(signature) = signature {
                parts.signature(SIGNED_CALL, &signature);
            }
            return self.call(call, parts);
        }
        if part.thought == Some(true) {
            parts.reasoning(part.text);
        } else {
            parts.text(part.text);
        }
        if let Some(signature) = signature {
            parts.signature(SIGNED_TEXT, &signature);
        }
        Ok(())
    }

    /// Calls come whole.
    fn call(&mut self, call: FunctionCall, parts: &mut Parts) -> Result<(), ReadError> {
        let arguments = call.args.filter(|args| !args.is_empty());
        let arguments = arguments.and_then(|args| serde_json::to_string(&args).ok());
        let key = self.calls;
        self.calls += 1;
        parts.call(CallDelta {
            key: Some(key),
            id: call.id,
            name: call.name,
            arguments,
        })?;
        parts.call_completed(key);
        Ok(())
    }
}
