//! From events to parts.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::{Chunk, End};
use super::fault::{Fault, Redaction};
use crate::domain::FinishReason;
use crate::llm::sse::{SseError, SseEvent};
use crate::llm::{LlmError, StreamPart};

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
    redaction: Redaction,
    ready: VecDeque<StreamPart>,
    /// Held back to the end, as some providers give a reason with every chunk and others
    /// repeat it beside the usage. The last one counts.
    finish: Option<FinishReason>,
    done: bool,
    seen: u64,
}

impl Parts {
    /// No parts yet. The name of the provider and the redaction are for the log.
    pub(super) fn new(provider: Arc<str>, redaction: Redaction) -> Self {
        Self {
            provider,
            redaction,
            ready: VecDeque::new(),
            finish: None,
            done: false,
            seen: 0,
        }
    }

    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// Takes the oldest part.
    pub(super) fn next(&mut self) -> Option<StreamPart> {
        self.ready.pop_front()
    }

    /// How many texts and finish reasons have come.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether the provider has said that nothing more comes.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Puts the finish reason behind all other parts; false if none has come.
    pub(super) fn release_finish(&mut self) -> bool {
        let finish = self.finish.take().map(StreamPart::Finish);
        let released = finish.is_some();
        self.ready.extend(finish);
        released
    }

    /// Reads an event of a stream.
    pub(super) fn event(&mut self, event: SseEvent<'_>) -> Result<(), ReadError> {
        let data = event.data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            return self.end();
        }
        if event.name == "error" {
            return Err(self.fault(&Fault::of_body(data.as_bytes())));
        }
        self.object(serde_json::from_str(data)).map(drop)
    }

    /// Reads a completion that came in one piece.
    pub(super) fn completion(&mut self, body: &[u8]) -> Result<(), ReadError> {
        if self.object(serde_json::from_slice(body))? {
            self.end()?;
        }
        Ok(())
    }

    /// Nothing more comes. Providers that give no reason have said all the same that the
    /// answer is complete; one that gave nothing at all has not answered.
    fn end(&mut self) -> Result<(), ReadError> {
        if self.finish.is_none() {
            if self.seen == 0 {
                return Err(ReadError::Told(LlmError::Protocol));
            }
            self.finish = Some(FinishReason::Stop);
        }
        self.done = true;
        Ok(())
    }

    /// Reads a chunk or a completion; whether it had a choice.
    fn object(&mut self, parsed: serde_json::Result<Chunk>) -> Result<bool, ReadError> {
        let mut chunk = parsed.map_err(|error| self.unreadable(&error))?;
        if let Some(error) = chunk.error.take() {
            return Err(self.fault(&Fault::of_value(&error)));
        }
        let usage = chunk.usage.take();
        let choice = chunk.into_choice();
        let has_choice = choice.is_some();
        let mut end = None;
        if let Some((texts, ended)) = choice {
            self.push(texts.reasoning_content, StreamPart::Reasoning);
            self.push(texts.reasoning, StreamPart::Reasoning);
            self.push(texts.content, StreamPart::Text);
            end = ended;
        }
        if let Some(usage) = usage.and_then(|counts| counts.into_usage()) {
            self.ready.push_back(StreamPart::Usage(usage));
        }
        match end {
            None => {}
            Some(End::Finished(reason)) => {
                self.finish = Some(reason);
                self.seen += 1;
            }
            Some(End::Broken) => return Err(self.fault(&Fault::default())),
        }
        Ok(has_choice)
    }

    fn push(&mut self, text: Option<String>, part: fn(String) -> StreamPart) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.ready.push_back(part(without_nul(text)));
            self.seen += 1;
        }
    }

    fn fault(&mut self, fault: &Fault) -> ReadError {
        fault.log(&self.provider, 200, &self.redaction);
        // A reason that came before is void: the provider takes its answer back.
        self.finish = None;
        ReadError::Told(fault.in_stream())
    }

    /// Logs where, not what: serde's messages repeat the text that they stumbled over.
    fn unreadable(&self, error: &serde_json::Error) -> ReadError {
        tracing::warn!(
            provider = &*self.provider,
            kind = ?error.classify(),
            column = error.column(),
            "a model's answer has an event that is not the expected JSON"
        );
        ReadError::Told(LlmError::Protocol)
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
mod tests {
    use super::{Parts, ReadError, Redaction};
    use crate::domain::{FinishReason, Usage};
    use crate::llm::sse::SseEvent;
    use crate::llm::{LlmError, StreamPart};

    fn read(events: &[&str]) -> (Vec<StreamPart>, Option<LlmError>) {
        let mut parts = Parts::new("test".into(), Redaction::default());
        let name = "message";
        let mut read = events
            .iter()
            .map(|data| parts.event(SseEvent { name, data }));
        let error = match read.find_map(Result::err) {
            Some(ReadError::Told(error)) => Some(error),
            _ => None,
        };
        parts.release_finish();
        (std::iter::from_fn(|| parts.next()).collect(), error)
    }

    fn text(text: &str) -> StreamPart {
        StreamPart::Text(text.to_owned())
    }

    #[test]
    fn finish_comes_once_and_last() {
        let each = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
        let last = r#"{"choices":[{"delta":{"content":""},"finish_reason":"length"}],"usage":{"prompt_tokens":1}}"#;
        let usage = StreamPart::Usage(Usage {
            input_tokens: 1,
            ..Usage::default()
        });
        let expected = vec![
            text("a"),
            text("a"),
            usage,
            StreamPart::Finish(FinishReason::Length),
        ];
        assert_eq!(read(&[each, each, last, "[DONE]", each]), (expected, None));
    }

    #[test]
    fn reasons_are_mapped() {
        let of = |reason: &str| {
            let chunk = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":{reason}}}]}}"#);
            let (parts, error) = read(&[&chunk]);
            error.map_or(Ok(parts), Err)
        };
        let finished = |reason| Ok(vec![StreamPart::Finish(reason)]);
        assert_eq!(of("null"), Ok(vec![]));
        assert_eq!(of(r#""""#), Ok(vec![]));
        assert_eq!(of(r#""stop""#), finished(FinishReason::Stop));
        assert_eq!(of(r#""length""#), finished(FinishReason::Length));
        assert_eq!(
            of(r#""content_filter""#),
            finished(FinishReason::ContentFilter)
        );
        assert_eq!(of(r#""eos_token""#), finished(FinishReason::Stop));
        assert_eq!(of(r#""error""#), Err(LlmError::Unavailable));
        assert_eq!(
            of(r#""insufficient_system_resource""#),
            Err(LlmError::Unavailable)
        );
    }

    #[test]
    fn done_alone_is_no_answer_and_done_after_text_is_one() {
        assert_eq!(read(&["[DONE]"]), (vec![], Some(LlmError::Protocol)));
        let a = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        let stop = StreamPart::Finish(FinishReason::Stop);
        assert_eq!(read(&[a, "[DONE]"]), (vec![text("a"), stop], None));
    }

    #[test]
    fn chunks_without_anything_are_skipped() {
        let empty = [
            "",
            " ",
            "{}",
            r#"{"choices":null,"usage":null,"error":null}"#,
        ];
        assert_eq!(read(&empty), (vec![], None));
        let hollow = [
            r#"{"choices":[{}],"usage":{}}"#,
            r#"{"choices":[{"delta":null}]}"#,
        ];
        assert_eq!(read(&hollow), (vec![], None));
    }

    #[test]
    fn nul_is_replaced() {
        let nul = r#"{"choices":[{"delta":{"content":"a\u0000b","reasoning":"\u0000"}}]}"#;
        let reasoning = StreamPart::Reasoning("\u{FFFD}".to_owned());
        assert_eq!(read(&[nul]), (vec![reasoning, text("a\u{FFFD}b")], None));
    }

    #[test]
    fn an_error_takes_back_what_was_finished() {
        let stop = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
        let error = r#"{"error":{"code":429}}"#;
        assert_eq!(
            read(&[stop, error]),
            (
                vec![text("a")],
                Some(LlmError::RateLimited { retry_after: None })
            )
        );
        let (_, error) = read(&["[1"]);
        assert_eq!(error, Some(LlmError::Protocol));
    }
}
