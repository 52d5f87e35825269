//! What runs use.

use async_graphql::SimpleObject;

use crate::domain;

/// Tokens that were used.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub(crate) struct Usage {
    /// Tokens the model read, cached ones included.
    input_tokens: u64,
    /// Tokens the model wrote, reasoning included.
    output_tokens: u64,
    /// Input tokens that came from a cache.
    cached_input_tokens: u64,
    /// Output tokens that were spent on reasoning.
    reasoning_tokens: u64,
    /// Input and output together.
    total_tokens: u64,
}

impl From<domain::Usage> for Usage {
    fn from(usage: domain::Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            total_tokens: usage.input_tokens + usage.output_tokens,
        }
    }
}
