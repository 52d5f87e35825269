//! From an agent and a session's history to what the model is asked.

use chrono::{DateTime, Utc};
use minijinja::{Environment, UndefinedBehavior, context};

use crate::domain::message::text_of;
use crate::domain::{AgentSpec, Message, Principal, Role};
use crate::llm::{ChatMessage, ChatRequest, ChatRole, Sampling};

/// A template may not run for long: it is configuration, not a program.
const TEMPLATE_FUEL: u64 = 50_000;

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    // A misspelt variable would otherwise silently vanish from the instructions.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment
}

/// Renders an agent's instructions.
pub(super) fn instructions(
    template: &str,
    who: &Principal,
    at: DateTime<Utc>,
) -> Result<String, minijinja::Error> {
    // Most instructions are plain text; they need no template engine.
    if !template.contains('{') {
        return Ok(template.to_owned());
    }
    let values = context! { date => at.date_naive().to_string(), owner => who.owner.as_ref() };
    environment().render_str(template, values)
}

/// Whether the instructions render, with made-up values.
pub(super) fn check_instructions(template: &str) -> Result<(), String> {
    if template.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    instructions(template, &Principal::development(), DateTime::UNIX_EPOCH)
        .map(drop)
        .map_err(|error| format!("{error:#}"))
}

/// One model call: the instructions, the history from its first user message on, and the
/// sampling parameters.
pub(super) fn request(
    spec: &AgentSpec,
    model: &str,
    instructions: String,
    history: &[Message],
    max_output_tokens: Option<u32>,
) -> ChatRequest {
    let mut messages = vec![ChatMessage::system(instructions)];
    let spoken = history
        .iter()
        .skip_while(|message| message.role != Role::User)
        .map(|message| {
            let role = match message.role {
                Role::User => ChatRole::User,
                Role::Assistant => ChatRole::Assistant,
            };
            (role, text_of(&message.parts))
        });
    let spoken = spoken.filter(|(_, text)| !text.is_empty());
    messages.extend(spoken.map(|(role, text)| ChatMessage::text(role, text)));
    ChatRequest {
        sampling: Sampling {
            temperature: spec.parameters.temperature.map(|value| value as f32),
            top_p: spec.parameters.top_p.map(|value| value as f32),
            seed: spec.parameters.seed,
        },
        max_output_tokens: match (spec.parameters.max_output_tokens, max_output_tokens) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        },
        ..ChatRequest::new(model, messages)
    }
}
