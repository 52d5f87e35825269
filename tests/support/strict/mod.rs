//! A model provider that refuses what the vendors refuse.
//!
//! It speaks OpenAI's Responses and Chat Completions, Anthropic's Messages and Gemini's
//! `generateContent`, over the scripted upstream. `rules.toml` lists the refusals as data, each
//! with the page that documents it; [`checks`] has those that depend on the whole conversation.
//! What passes all rules is answered as the vendor's model would answer (see [`play`]).

#![allow(dead_code, reason = "no test program uses all of it")]

pub(crate) mod asked;
pub(crate) mod binding;
mod checks;
mod pairs;
pub(crate) mod play;
pub(crate) mod rules;
mod schema;
mod write;

use serde_json::Value;

use self::asked::Asked;
use self::rules::rules;
use super::upstream::{Received, Script, Upstream};

/// The header of a refusal that names the rule.
pub(crate) const RULE: &str = "x-strict-rule";

/// Starts a strict provider on a free port. Scripts that are queued come first, as they do in
/// any other upstream.
pub(crate) async fn start() -> Upstream {
    Upstream::answering(answer).await
}

/// The answer of the vendor whose protocol the request speaks.
pub(crate) fn answer(request: &Received) -> Script {
    let Some(asked) = Asked::read(request) else {
        return Script::json(
            404,
            &serde_json::json!({ "error": { "message": "Not Found" } }),
        );
    };
    if let Some(refusal) = refusal(&asked) {
        return refusal;
    }
    write::stream(&asked, &play::play(&asked))
}

/// The refusal of the first rule that a request breaks.
fn refusal(asked: &Asked<'_>) -> Option<Script> {
    rules().iter().find_map(|rule| {
        let broken = rule.broken_by(asked)?;
        let body = rule.body(asked, &broken);
        Some(Script::json(rule.status, &body).header(RULE, &rule.name))
    })
}

/// The rules that requests broke, with the requests that broke them; a run that an upstream
/// answered without one is accepted by the vendor.
pub(crate) fn broken(upstream: &Upstream) -> Vec<String> {
    let refused = upstream.received().into_iter().filter_map(|received| {
        let asked = Asked::read(&received)?;
        let (rule, broken) = rules()
            .iter()
            .find_map(|rule| Some((rule, rule.broken_by(&asked)?)))?;
        Some(format!(
            "{}: {}: {}",
            asked.model,
            rule.name,
            rule.message(&asked, &broken)
        ))
    });
    refused.collect()
}

/// A value without what vendors leave out of account when they compare prompts, with its keys
/// in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept: Vec<_> = fields
                .iter()
                .filter(|(name, _)| *name != "cache_control")
                .map(|(name, value)| (name.clone(), canonical(value)))
                .collect();
            kept.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(kept.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}
