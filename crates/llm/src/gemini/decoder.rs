//! Decoding of a stream's events.
//!
//! There is no last event: the answer ends with the body, and is complete if a finish reason has
//! arrived by then.

use super::event::{Candidate, FunctionCall, Part, Reason, Response};
use super::{SIGNED_CALL, SIGNED_TEXT};
use crate::calls::CallDelta;
use crate::error::Unusable;
use crate::lenient::{Id, Json, Problem, parse};
use crate::parts::{Parts, ReadError};
use crate::protocol::Decode;
use crate::provider_error::ProviderError;
use crate::sse::SseEvent;
use talkgraph_domain::FinishReason;

#[cfg(test)]
mod tests;

#[derive(Default)]
pub(super) struct Decoder {
    /// The calls so far, by name and arguments: they have no index.
    calls: Vec<(Option<String>, Option<Json>)>,
}

impl Decode for Decoder {
    fn event(&mut self, event: SseEvent<'_>, parts: &mut Parts) -> Result<(), ReadError> {
        // Not part of this protocol, but imitations end with it.
        if event.data.trim_ascii() == "[DONE]" {
            return Ok(());
        }
        self.whole(event.data, parts)
    }

    fn whole(&mut self, body: &str, parts: &mut Parts) -> Result<(), ReadError> {
        let response: Response = parse(body).map_err(|error| parts.unreadable(&error))?;
        self.response(response, parts)
    }
}

impl Decoder {
    fn response(&mut self, response: Response, parts: &mut Parts) -> Result<(), ReadError> {
        if let Some(Problem(error)) = response.error {
            return Err(parts.fault(&ProviderError::of_value(&error)));
        }
        let counts = response.usage_metadata;
        if let Some(usage) = counts.and_then(|counts| counts.into_usage()) {
            parts.usage(usage);
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
        let mut content = content.unwrap_or_default();
        if candidate.finish_reason.is_some() && self.has_all_calls_of(&content) {
            content.retain(|part| part.function_call.is_none());
        }
        for part in content {
            self.part(part, parts)?;
        }
        match candidate.finish_reason {
            None => Ok(()),
            Some(Reason::Finished(reason)) => {
                parts.finish(reason);
                Ok(())
            }
            Some(Reason::Malformed) => parts.malformed(),
            Some(Reason::Unsigned) => Err(ReadError::Reported(parts.unusable(Unusable::Malformed))),
        }
    }

    /// Returns true if the last event repeats all calls, as some gateways do.
    fn has_all_calls_of(&self, content: &[Part]) -> bool {
        let calls = content
            .iter()
            .filter_map(|part| part.function_call.as_ref());
        let said = self.calls.iter().map(|(name, args)| (name, args));
        !self.calls.is_empty() && calls.map(|call| (&call.name, &call.args)).eq(said)
    }

    fn part(&mut self, part: Part, parts: &mut Parts) -> Result<(), ReadError> {
        let signature = part.thought_signature.filter(|text| !text.is_empty());
        if part.thought == Some(true) {
            parts.reasoning(part.text);
        } else {
            parts.text(part.text);
        }
        let (signed, call) = match part.function_call {
            Some(call) => (SIGNED_CALL, Some(call)),
            None => (SIGNED_TEXT, None),
        };
        if let Some(signature) = signature {
            parts.signature(signed, &signature);
        }
        call.map_or(Ok(()), |call| self.call(call, parts))
    }

    /// Adds a call, which always arrives complete.
    fn call(&mut self, call: FunctionCall, parts: &mut Parts) -> Result<(), ReadError> {
        let key = self.calls.len() as u64;
        self.calls.push((call.name.clone(), call.args.clone()));
        parts.call(CallDelta {
            key: Some(key),
            id: call.id.map(|Id(id)| id),
            name: call.name,
            arguments: call.args.map(|Json(args)| args),
        })?;
        parts.call_completed(key);
        Ok(())
    }
}
