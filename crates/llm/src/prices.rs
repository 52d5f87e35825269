//! Prices of models.

use super::Models;
use talkgraph_domain::Usage;
use talkgraph_domain::capabilities::{LongPrompt, TablePrice};

/// A model's price, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Input tokens.
    pub input_per_million: f64,
    /// Input tokens read from a cache.
    pub cached_input_per_million: f64,
    /// Input tokens written to a cache for some minutes.
    pub cache_write_per_million: f64,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h_per_million: f64,
    /// Output tokens, reasoning included.
    pub output_per_million: f64,
    /// The surcharge for long prompts.
    pub long_prompt: Option<LongPrompt>,
}

impl From<TablePrice> for Price {
    fn from(price: TablePrice) -> Self {
        let usual = Self::new(price.input, price.output);
        Self {
            cached_input_per_million: price.cached_input.unwrap_or(price.input),
            cache_write_per_million: price.cache_write.unwrap_or(usual.cache_write_per_million),
            cache_write_1h_per_million: price
                .cache_write_1h
                .unwrap_or(usual.cache_write_1h_per_million),
            long_prompt: price.long_prompt,
            ..usual
        }
    }
}

/// The price of a cache write as a multiple of the input price, if no price is set. Both vendors
/// whose models report writes charge them.
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing> (1.25 for five
/// minutes, 2 for an hour), <https://developers.openai.com/api/docs/guides/prompt-caching> (1.25
/// from GPT-5.6 on; earlier models report none).
const CACHE_WRITE: f64 = 1.25;
const CACHE_WRITE_1H: f64 = 2.0;

impl Price {
    /// A price in which cached input costs the same as other input, and cache writes cost what
    /// vendors usually charge.
    pub fn new(input_per_million: f64, output_per_million: f64) -> Self {
        Self {
            input_per_million,
            cached_input_per_million: input_per_million,
            cache_write_per_million: input_per_million * CACHE_WRITE,
            cache_write_1h_per_million: input_per_million * CACHE_WRITE_1H,
            output_per_million,
            long_prompt: None,
        }
    }

    /// The cost of this usage, in US dollars.
    pub fn of(&self, usage: &Usage) -> f64 {
        // A vendor that counts the parts separately is never billed below zero.
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let uncached = usage.input_tokens - cached;
        let written = usage.cache_write_input_tokens.min(uncached);
        let written_1h = usage.cache_write_1h_input_tokens.min(written);
        let is_long = |long: &LongPrompt| usage.input_tokens > long.above;
        let (input, output) = match self.long_prompt.filter(is_long) {
            Some(long) => (long.input, long.output),
            None => (1.0, 1.0),
        };
        let counted = [
            (uncached - written, input * self.input_per_million),
            (cached, input * self.cached_input_per_million),
            (written - written_1h, input * self.cache_write_per_million),
            (written_1h, input * self.cache_write_1h_per_million),
            (usage.output_tokens, output * self.output_per_million),
        ];
        let dollars = counted
            .into_iter()
            // Exact up to 2^53 tokens.
            .map(|(tokens, per_million)| tokens as f64 * per_million / 1e6);
        dollars.sum()
    }
}

impl Models {
    /// Sets the price of a model, `provider/model`.
    pub fn set_price(&mut self, model: &str, price: Price) {
        self.prices.insert(model.to_owned(), price);
    }

    /// The price of a model, `provider/model`: that of the settings, else that of the table; none
    /// if neither has one.
    pub fn price(&self, model: &str) -> Option<Price> {
        let set = self.prices.get(model).copied();
        set.or_else(|| self.capabilities(model).price.map(Price::from))
    }
}

#[cfg(test)]
mod tests {
    use super::{Models, Price};
    use talkgraph_domain::Usage;

    const PRICE: Price = Price {
        input_per_million: 2.0,
        cached_input_per_million: 0.5,
        cache_write_per_million: 2.5,
        cache_write_1h_per_million: 4.0,
        output_per_million: 8.0,
        long_prompt: None,
    };

    #[test]
    fn cached_tokens_have_their_own_price() {
        let usage = Usage {
            input_tokens: 1_000_000,
            cached_input_tokens: 400_000,
            output_tokens: 250_000,
            reasoning_tokens: 200_000,
            ..Usage::default()
        };
        assert!((PRICE.of(&usage) - (1.2 + 0.2 + 2.0)).abs() < 1e-9);
        // A provider that counts the cached tokens separately is not billed below zero.
        let odd = Usage {
            cached_input_tokens: 10,
            ..Usage::default()
        };
        assert!(PRICE.of(&odd).abs() < 1e-9);
    }

    #[test]
    fn cache_writes_have_their_own_prices() {
        let mut usage = Usage {
            input_tokens: 1_000_000,
            cached_input_tokens: 400_000,
            cache_write_input_tokens: 300_000,
            cache_write_1h_input_tokens: 100_000,
            ..Usage::default()
        };
        let expected = 0.3 * 2.0 + 0.4 * 0.5 + 0.2 * 2.5 + 0.1 * 4.0;
        assert!((PRICE.of(&usage) - expected).abs() < 1e-9);
        // More writes than input are not billed.
        usage.cache_write_input_tokens = u64::MAX;
        usage.cache_write_1h_input_tokens = u64::MAX;
        assert!((PRICE.of(&usage) - (0.4 * 0.5 + 0.6 * 4.0)).abs() < 1e-9);
        let usual = Price::new(2.0, 8.0);
        assert!((usual.cache_write_per_million - 2.5).abs() < 1e-9);
        assert!((usual.cache_write_1h_per_million - 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_model_has_the_price_that_was_set() {
        let mut models = Models::default();
        models.set_price("groq/llama", PRICE);
        assert_eq!(models.price("groq/llama"), Some(PRICE));
        assert_eq!(models.price("groq/other"), None);
    }
}
