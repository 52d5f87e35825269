//! Waits that an error's body requests, and servers that are still loading a model.

use std::time::Duration;

use serde_json::Value;

use super::ProviderError;
use talkgraph_resilience::retry_after;

/// The statuses of servers that are loading a model.
pub(super) const MAY_BE_LOADING: [u16; 3] = [425, 500, 503];

/// Messages of servers that are loading a model, in lower case.
const LOADING_WORDS: [&str; 6] = [
    // llama.cpp, llamafile: "Loading model"
    "loading model",
    // Hugging Face: "Model x is currently loading"
    "currently loading",
    // Text Generation Inference, LM Studio
    "model is loading",
    "model is still loading",
    // Ollama: "llm server loading model" is covered by the first.
    "model is not ready",
    "model is being loaded",
];

/// Google's `RetryInfo`: `{"@type": "…RetryInfo", "retryDelay": "34.07s"}`.
/// <https://cloud.google.com/apis/design/errors>
pub(super) fn of_details(details: &[Value]) -> Option<Duration> {
    let mut delays = details
        .iter()
        .filter_map(|detail| detail.get("retryDelay")?.as_str());
    delays.find_map(retry_after::parse_duration)
}

/// Hugging Face's `estimated_time`, in seconds.
pub(super) fn estimated(body: &Value) -> Option<Duration> {
    let seconds = body.get("estimated_time")?;
    retry_after::parse_seconds(&seconds.to_string())
}

impl ProviderError {
    /// Returns true if the server is still loading its model.
    pub(super) fn is_loading(&self) -> bool {
        let message = self.message.to_lowercase();
        LOADING_WORDS.iter().any(|words| message.contains(words))
    }
}
