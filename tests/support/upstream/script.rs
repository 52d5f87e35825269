//! What an answer consists of.

use std::time::Duration;

use serde_json::json;

/// An answer: a status, headers, and the steps of the body.
#[derive(Debug, Clone)]
pub struct Script {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) steps: Vec<Step>,
    pub(super) silent: bool,
}

/// One step of writing a body. After the last, the body is ended as HTTP wants it.
#[derive(Debug, Clone)]
pub enum Step {
    /// Writes these bytes as one piece.
    Bytes(Vec<u8>),
    /// Writes these bytes so many times, each as a piece.
    Flood(Vec<u8>, usize),
    /// Waits for [`super::Upstream::release`], or for the client to go.
    Hold,
    /// Waits this long: for load, not for order; a test that waits uses [`Step::Hold`].
    Pause(Duration),
    /// Closes the socket with half of an HTTP chunk written.
    Cut,
}

impl Script {
    /// An event stream without events.
    pub fn stream() -> Self {
        Self::status(200).header("content-type", "text/event-stream")
    }

    /// A stream of these tokens, with finish reason, usage and `[DONE]`.
    pub fn tokens<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Self {
        Self::stream().text(tokens).ended()
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            steps: Vec::new(),
            silent: false,
        }
    }

    /// A body of JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .bytes(body.to_string())
    }

    /// No answer at all, not even a status, until released.
    pub fn silence() -> Self {
        Self {
            silent: true,
            ..Self::stream()
        }
    }

    /// Closes the connection in place of an answer.
    pub fn hang_up() -> Self {
        Self::status(0)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a step.
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds bytes, as one piece.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Bytes(bytes.into()))
    }

    /// Adds these bytes so many times, without keeping them as often.
    pub fn flood(self, bytes: impl Into<Vec<u8>>, times: usize) -> Self {
        self.step(Step::Flood(bytes.into(), times))
    }

    /// Adds an event with this data.
    pub fn event(self, data: impl std::fmt::Display) -> Self {
        self.bytes(format!("data: {data}\n\n"))
    }

    /// Adds a token a piece.
    pub fn text<T: AsRef<str>>(self, tokens: impl IntoIterator<Item = T>) -> Self {
        let events = tokens
            .into_iter()
            .map(|token| chunk(&json!({ "content": token.as_ref() })));
        events.fold(self, Self::event)
    }

    /// Adds a finish reason, usage and `[DONE]`.
    pub fn ended(self) -> Self {
        self.event(finish("stop"))
            .event(usage(7, 3))
            .event("[DONE]")
    }

    /// Adds the steps of another.
    pub fn append(&mut self, other: Self) {
        self.steps.extend(other.steps);
    }

    /// Waits here until released.
    pub fn hold(self) -> Self {
        self.step(Step::Hold)
    }

    /// Closes the socket here, half-way through a piece.
    pub fn cut(self) -> Self {
        self.step(Step::Cut)
    }

    /// Waits this long before each piece.
    pub fn paced(mut self, pause: Duration) -> Self {
        let paced = |step| [Step::Pause(pause), step];
        self.steps = self.steps.into_iter().flat_map(paced).collect();
        self
    }

    /// Joins all bytes and writes them in pieces that end at these places.
    pub fn split_at(mut self, places: impl IntoIterator<Item = usize>) -> Self {
        let bytes = self.steps.drain(..).filter_map(|step| match step {
            Step::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        let bytes = bytes.collect::<Vec<_>>().concat();
        let mut start = 0;
        for end in places.into_iter().chain([bytes.len()]) {
            if start < end {
                self.steps.push(Step::Bytes(bytes[start..end].to_vec()));
                start = end;
            }
        }
        self
    }
}

/// A chunk with this delta, as JSON text.
pub fn chunk(delta: &serde_json::Value) -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "scripted",
        "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }],
    })
    .to_string()
}

/// The chunk that ends an answer, as JSON text.
pub fn finish(reason: &str) -> String {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }).to_string()
}

/// The chunk with the usage, as JSON text.
pub fn usage(input: u64, output: u64) -> String {
    let total = input + output;
    json!({
        "choices": [],
        "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": total },
    })
    .to_string()
}
