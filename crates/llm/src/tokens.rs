//! The number of tokens of a prompt, and the context window of a model.
//!
//! OpenAI alone publishes its tokenizers: its newest vocabulary counts for all vendors, and the
//! input tokens that each model reports correct the count.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ChatMessage, ChatRequest, Content, FileData, Models};

/// The tokens around each message: its role and its end.
const MESSAGE_TOKENS: u64 = 5;
/// The most that an image takes by default, of the vendors that say so.
/// <https://docs.anthropic.com/en/docs/build-with-claude/vision>
const IMAGE_TOKENS: u64 = 1_600;
/// Of another file's Base64: a page of a document is some 50 KB and 2,000 tokens.
const FILE_BYTES_A_TOKEN: u64 = 32;

/// The range of the correction. A provider that counts something else, or nothing, must not make
/// a model forget everything or overflow its window.
const FACTORS: std::ops::RangeInclusive<f64> = 0.5..=2.0;
/// The share of the difference by which one answer moves the correction.
const WEIGHT: f64 = 0.5;
/// The deviation from which a count is logged at `info`.
const NOTABLE_DEVIATION: f64 = 0.25;
/// Models whose correction is remembered.
const REMEMBERED_MODELS: usize = 1_024;

/// By how much the counts for each `provider/model` are too small.
#[derive(Default)]
pub(super) struct Factors(Mutex<HashMap<String, f64>>);

impl Factors {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, f64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Models {
    /// Sets how many tokens a model takes, prompt and answer together; `name` is
    /// `provider/model`, or `provider` for all others of it.
    pub fn set_window(&mut self, name: &str, tokens: u64) {
        self.windows.insert(name.to_owned(), tokens);
    }

    /// The number of tokens that `provider/model` takes; none where that is not known.
    pub fn window(&self, model: &str) -> Option<u64> {
        let provider = model.split_once('/').map(|(provider, _)| provider);
        let own = self.windows.get(model).copied();
        own.or_else(|| self.capabilities(model).context_tokens)
            .or_else(|| self.windows.get(provider?).copied())
    }

    /// By how much the counts for a model are too small.
    pub fn token_factor(&self, model: &str) -> f64 {
        self.factors.lock().get(model).copied().unwrap_or(1.0)
    }

    /// Takes in how many tokens a prompt had that was counted as `counted`.
    pub fn observe_tokens(&self, model: &str, counted: u64, actual: u64) {
        if counted == 0 || actual == 0 {
            return;
        }
        let ratio = actual as f64 / counted as f64;
        let mut factors = self.factors.lock();
        if factors.len() >= REMEMBERED_MODELS && !factors.contains_key(model) {
            return;
        }
        let known = factors.get(model).copied();
        let deviation = ratio / known.unwrap_or(1.0) - 1.0;
        let moved = known.map_or(ratio, |known| known + WEIGHT * (ratio - known));
        let factor = moved.clamp(*FACTORS.start(), *FACTORS.end());
        factors.insert(model.to_owned(), factor);
        drop(factors);
        let percent = (deviation * 100.0).round();
        if deviation.abs() > NOTABLE_DEVIATION {
            tracing::info!(
                model,
                counted,
                actual,
                percent,
                factor,
                "prompt token count inaccurate"
            );
        } else {
            tracing::debug!(
                model,
                counted,
                actual,
                percent,
                factor,
                "prompt tokens counted"
            );
        }
    }

    /// The tokens of a text, as far as they can be known.
    pub fn text_tokens(&self, model: &str, text: &str) -> u64 {
        let own = self.find(model).ok();
        let own = own.and_then(|(provider, _)| provider.count_tokens(text));
        own.unwrap_or_else(|| talkgraph_tokenizer::count(text) as u64)
    }

    /// The tokens of a message.
    pub fn message_tokens(&self, model: &str, message: &ChatMessage) -> u64 {
        let content = message.content.iter().map(|content| match content {
            Content::File {
                media_type, data, ..
            } => file_tokens(media_type, data),
            content => texts(content)
                .into_iter()
                .map(|text| self.text_tokens(model, text))
                .sum(),
        });
        MESSAGE_TOKENS + content.sum::<u64>()
    }

    /// The tokens of what a request has beside its messages.
    pub fn extra_tokens(&self, model: &str, request: &ChatRequest) -> u64 {
        let provider = self.find(model).ok();
        let sees_tools = provider.is_none_or(|(provider, _)| provider.sees_tools());
        let tools = request.tools.iter().filter(|_| sees_tools);
        let tools = tools.map(|tool| {
            let text = format!("{} {} {}", tool.name, tool.description, tool.parameters);
            self.text_tokens(model, &text)
        });
        let output = request.output_schema.as_ref();
        let output = output.map_or(0, |output| {
            self.text_tokens(model, &output.schema.to_string())
        });
        tools.sum::<u64>() + output
    }
}

fn texts(content: &Content) -> Vec<&str> {
    match content {
        Content::Text(text) | Content::Reasoning { text, .. } => vec![text],
        Content::ToolCall {
            name, arguments, ..
        } => vec![name, arguments],
        Content::ToolResult { text, .. } => vec![text],
        Content::File { .. } => Vec::new(),
    }
}

fn file_tokens(media_type: &str, data: &FileData) -> u64 {
    match data {
        _ if media_type.starts_with("image/") => IMAGE_TOKENS,
        FileData::Base64(bytes) => bytes.len() as u64 / FILE_BYTES_A_TOKEN + 1,
        FileData::Url(_) => IMAGE_TOKENS,
    }
}

/// At least as many as a request has tokens: none is shorter than a byte.
pub fn most_tokens(request: &ChatRequest) -> u64 {
    let content = |content: &Content| match content {
        Content::File {
            media_type, data, ..
        } => file_tokens(media_type, data),
        content => texts(content)
            .into_iter()
            .map(|text| text.len() as u64)
            .sum(),
    };
    let messages = request
        .messages
        .iter()
        .map(|message| MESSAGE_TOKENS + message.content.iter().map(content).sum::<u64>());
    let tools = request.tools.iter().map(|tool| {
        let words = tool.name.len() + tool.description.len();
        words as u64 + tool.parameters.to_string().len() as u64
    });
    let output = request.output_schema.as_ref();
    let output = output.map_or(0, |output| output.schema.to_string().len() as u64);
    messages.sum::<u64>() + tools.sum::<u64>() + output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_tokens_that_its_vendor_counts() {
        let models = Models::default();
        // As tiktoken counts them with o200k_base.
        for (text, tokens) in [
            ("", 0),
            ("hello world", 2),
            ("Donaudampfschifffahrtsgesellschaft", 10),
            ("お誕生日おめでとう", 8),
        ] {
            assert_eq!(models.text_tokens("openai/gpt-4.1", text), tokens, "{text}");
        }
    }

    #[test]
    fn window_of_a_model_precedes_that_of_its_provider() {
        let mut models = Models::default();
        models.set_window("openai", 128_000);
        models.set_window("openai/gpt-4.1", 1_000_000);
        assert_eq!(models.window("openai/gpt-4.1"), Some(1_000_000));
        assert_eq!(models.window("openai/o3"), Some(128_000));
        assert_eq!(models.window("groq/x"), None);
    }

    #[test]
    fn counts_are_corrected_within_bounds() {
        let models = Models::default();
        let factor = |counted, actual| {
            models.observe_tokens("a/b", counted, actual);
            models.token_factor("a/b")
        };
        assert!((factor(100, 130) - 1.3).abs() < 1e-9);
        assert!((factor(100, 110) - 1.2).abs() < 1e-9);
        assert!(
            (factor(100, 0) - 1.2).abs() < 1e-9,
            "no usage is no usage of nothing"
        );
        assert!((factor(100, 100_000) - 2.0).abs() < 1e-9);
        assert!((factor(100_000, 1) - 1.0).abs() < 0.01);
        assert!((factor(100_000, 1) - 0.5).abs() < 0.01);
        assert!((models.token_factor("a/c") - 1.0).abs() < 1e-9);
    }
}
