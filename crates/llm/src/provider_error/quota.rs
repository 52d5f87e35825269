//! Accounts without credit or quota, for which waiting does not help.

use serde_json::Value;

use super::ProviderError;

/// The statuses of vendors for it: Anthropic and OpenAI 400, OpenAI 429, most others 402, xAI 403,
/// Fireworks 412.
pub(super) const MAY_BE: [u16; 5] = [400, 402, 403, 412, 429];

/// The codes and types for it.
///
/// <https://developers.openai.com/api/docs/guides/error-codes>,
/// <https://platform.claude.com/docs/en/api/errors>, LiteLLM's `budget_exceeded`.
const CODES: [&str; 9] = [
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "budget_exceeded",
    "insufficient_funds",
    "insufficient_credits",
    "insufficient_balance",
    "BILLING_DISABLED",
];

/// Messages of vendors without a code, in lower case.
const WORDS: [&str; 11] = [
    // Anthropic: "Your credit balance is too low to access the Anthropic API."
    "credit balance is too low",
    // OpenAI: "Billing hard limit has been reached"
    "billing hard limit",
    // DeepSeek, with 402
    "insufficient balance",
    // OpenRouter, with 402
    "insufficient credits",
    "requires more credits",
    // xAI: "Your team … has either used all available credits or reached its monthly spending limit"
    "used all available credits",
    // Fireworks too
    "monthly spending limit",
    // Hugging Face: "You have exceeded your monthly included credits"
    "monthly included credits",
    // Gemini: "Your prepayment credits are depleted."
    "credits are depleted",
    // LiteLLM: "Budget has been exceeded!"
    "budget has been exceeded",
    // Gemini: "This API method requires billing to be enabled."
    "requires billing to be enabled",
];

/// OpenAI's message, which gateways pass on without the code. Google uses the same for limits that
/// last a minute.
const OPENAI_WORDS: &str = "exceeded your current quota";

/// Google's name of a limit's kind.
const GOOGLE: &str = "RESOURCE_EXHAUSTED";

/// Returns true if Google's details name a quota for a day, or disabled billing.
/// <https://ai.google.dev/gemini-api/docs/rate-limits>
pub(super) fn is_long(details: &[Value]) -> bool {
    details.iter().any(|detail| {
        let violations = detail.get("violations").and_then(Value::as_array);
        let is_daily = violations.into_iter().flatten().any(|violation| {
            let id = violation.get("quotaId").and_then(Value::as_str);
            id.is_some_and(|id| id.contains("PerDay"))
        });
        is_daily || detail["reason"] == "BILLING_DISABLED"
    })
}

impl ProviderError {
    /// Returns true if the account has no credit or quota.
    pub(super) fn is_out_of_quota(&self, status: u16) -> bool {
        let message = self.message.to_lowercase();
        status == 402
            || self.long_quota
            || CODES.contains(&self.code.as_str())
            || CODES.contains(&self.kind.as_str())
            || WORDS.iter().any(|words| message.contains(words))
            || (self.kind != GOOGLE && message.contains(OPENAI_WORDS))
    }
}
