//! The usage of runs.

use async_graphql::SimpleObject;

use talkgraph_domain::Cost;

/// The number of tokens used, and their cost.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Usage {
    /// The number of input tokens, including cached ones.
    input_tokens: u64,
    /// The number of output tokens, including reasoning.
    output_tokens: u64,
    /// The number of input tokens read from a cache.
    cached_input_tokens: u64,
    /// The number of input tokens written to a cache, of any lifetime.
    cache_write_input_tokens: u64,
    /// The part of `cacheWriteInputTokens` that is cached for an hour.
    #[graphql(name = "cacheWrite1hInputTokens")]
    cache_write_1h_input_tokens: u64,
    /// The number of output tokens spent on reasoning.
    reasoning_tokens: u64,
    /// The sum of input and output tokens.
    total_tokens: u64,
    /// The cost in US dollars, at the prices configured at that time: a decimal number as text,
    /// such as `"0.000226"`. Null if unknown: a model without a price, a provider that reports no
    /// usage, or an answer that broke off.
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
