//! What models cost.

use super::Models;
use crate::domain::Usage;

/// A model's price, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Of what the model reads.
    pub input_per_million: f64,
    /// Of what it reads from a cache.
    pub cached_input_per_million: f64,
    /// Of what it writes, reasoning included.
    pub output_per_million: f64,
}

impl Price {
    /// What this usage costs, in US dollars.
    pub fn of(&self, usage: &Usage) -> f64 {
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let counted = [
            (usage.input_tokens - cached, self.input_per_million),
            (cached, self.cached_input_per_million),
            (usage.output_tokens, self.output_per_million),
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

    /// The price of a model, `provider/model`; none if nobody has set it.
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.prices.get(model)
    }
}

#[cfg(test)]
mod tests {
    use super::{Models, Price};
    use crate::domain::Usage;

    const PRICE: Price = Price {
        input_per_million: 2.0,
        cached_input_per_million: 0.5,
        output_per_million: 8.0,
    };

    #[test]
    fn cached_tokens_have_their_own_price() {
        let usage = Usage {
            input_tokens: 1_000_000,
            cached_input_tokens: 400_000,
            output_tokens: 250_000,
            reasoning_tokens: 200_000,
        };
        assert!((PRICE.of(&usage) - (1.2 + 0.2 + 2.0)).abs() < 1e-9);
        // A provider that counts the cached ones apart is not billed below nothing.
        let odd = Usage {
            cached_input_tokens: 10,
            ..Usage::default()
        };
        assert!(PRICE.of(&odd).abs() < 1e-9);
    }

    #[test]
    fn a_model_has_the_price_that_was_set() {
        let mut models = Models::default();
        models.set_price("groq/llama", PRICE);
        assert_eq!(models.price("groq/llama"), Some(&PRICE));
        assert_eq!(models.price("groq/other"), None);
    }
}
