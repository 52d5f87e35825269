//! What runs use.

use async_graphql::SimpleObject;

use talkgraph_domain::Cost;

/// Tokens that were used, and what they cost.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Usage {
    /// Tokens the model read, cached ones included.
    input_tokens: u64,
    /// Tokens the model wrote, reasoning included.
    output_tokens: u64,
    /// Input tokens that came from a cache.
    cached_input_tokens: u64,
    /// Input tokens that were written to a cache, whatever their lifetime there.
    cache_write_input_tokens: u64,
    /// The part of `cacheWriteInputTokens` that is kept for an hour.
    #[graphql(name = "cacheWrite1hInputTokens")]
    cache_write_1h_input_tokens: u64,
    /// Output tokens that were spent on reasoning.
    reasoning_tokens: u64,
    /// Input and output together.
    total_tokens: u64,
    /// What they cost in US dollars, at the prices that the server's settings had then: a decimal
    /// number as text, such as `0.000226`. Null where it is not known: a model that took part
    /// has no price, its provider has told no usage, or its answer broke off before.
    cost: Option<String>,
}

impl Usage {
    pub(crate) fn new(usage: talkgraph_domain::Usage, cost: Option<Cost>) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_input_tokens: usage.cache_write_input_tokens,
            cache_write_1h_input_tokens: usage.cache_write_1h_input_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            total_tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            cost: cost.map(|cost| cost.to_string()),
        }
    }
}
