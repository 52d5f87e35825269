//! The body of a Messages request.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::messages::{Message, cached_text, lacks_thinking, messages};
use crate::capabilities::{form, thinks};
use crate::protocol::Asked;
use crate::schema::{self, anthropic, instruction};
use crate::signed_reasoning::Prefix;
use crate::wire::instructions;
use crate::{ChatProtocol, ChatRequest, Content, LlmError, ToolChoice};
use talkgraph_domain::capabilities::{StructuredOutput, ThinkingForm, ThinkingOff};

#[cfg(test)]
mod tests;

/// The default limit of an answer, in tokens: this API requires a number, and accepts this one for
/// every model since Claude 3.5.
const MAX_TOKENS: u32 = 8_192;
/// The same for a model that thinks by default: its thinking is part of the answer.
const MAX_TOKENS_WITH_THINKING: u32 = 32_000;
/// The default thinking budget, which is also the smallest accepted one.
/// <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>
const BUDGET_TOKENS: u32 = 4_096;
const FEWEST_BUDGET_TOKENS: u32 = 1_024;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Value>,
    messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: Value,
}

/// The body as JSON.
pub(super) fn body(request: &ChatRequest) -> Result<Asked, LlmError> {
    let mut system = instructions(&request.messages);
    let output = request.output_schema.as_ref();
    let has_schemas = match request.capabilities.structured_output {
        StructuredOutput::Native => true,
        StructuredOutput::NativeWithoutTools => request.tools.is_empty(),
        StructuredOutput::Object | StructuredOutput::Words => false,
    };
    let native = output.filter(|_| has_schemas);
    let native = native.and_then(|output| schema::answer(&output.schema, &anthropic::ANSWER));
    if let (Some(output), None) = (output, &native) {
        system.push(instruction(output));
    }
    let system = system.join("\n\n");
    let tools = request.tools.iter().map(|tool| Tool {
        name: &tool.name,
        description: &tool.description,
        input_schema: schema::arguments(&tool.parameters, &anthropic::TOOL),
    });
    let gone = gone(request).into_iter().map(|name| Tool {
        name,
        description: "Not there any more.",
        input_schema: json!({ "type": "object", "properties": {} }),
    });
    let max_tokens = max_tokens(request);
    let tools: Vec<_> = tools.chain(gone).collect();
    let mut prefix = Prefix::new(&request.past, &request.model);
    prefix.add(&system);
    prefix.add(&tools);
    let (messages, bindings) = messages(request, prefix)?;
    let body = Body {
        model: &request.model,
        max_tokens,
        stream: true,
        system: (!system.is_empty())
            .then(|| cached_text(&system, request.cache_ttl))
            .into_iter()
            .collect(),
        thinking: thinking(request, max_tokens)
            .filter(|thinking| thinking["type"] != "enabled" || !lacks_thinking(&messages)),
        messages,
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        tools,
        tool_choice: tool_choice(request),
        output_config: output_config(request, native),
    };
    Asked::new(&body, request, bindings)
}

/// The limit of the answer, thinking included.
fn max_tokens(request: &ChatRequest) -> u32 {
    let usual = if thinks(request) {
        MAX_TOKENS_WITH_THINKING
    } else {
        MAX_TOKENS
    };
    let most = request.capabilities.max_output_tokens.unwrap_or(usual);
    request.max_output_tokens.unwrap_or(usual.min(most))
}

/// The form of the answer and the effort.
fn output_config(request: &ChatRequest, native: Option<Value>) -> Option<Value> {
    let mut config = Map::new();
    if let Some(schema) = native {
        let format = json!({ "type": "json_schema", "schema": schema });
        config.insert("format".to_owned(), format);
    }
    if let Some(effort) = request.reasoning.effort {
        config.insert("effort".to_owned(), json!(effort));
    }
    (!config.is_empty()).then(|| config.into())
}

/// The thinking switch. If it is absent, older models do not think and newer ones do, without a
/// summary.
fn thinking(request: &ChatRequest, max_tokens: u32) -> Option<Value> {
    let capabilities = &request.capabilities;
    let asked = request.reasoning.thinking;
    if asked == Some(false) && !capabilities.thinks_by_default {
        return None;
    }
    if asked == Some(false) {
        let kind = match capabilities.thinking_off {
            ThinkingOff::BetweenTools => "between_tools",
            ThinkingOff::Never | ThinkingOff::Disabled => "disabled",
        };
        return Some(json!({ "type": kind }));
    }
    match form(capabilities, ChatProtocol::Messages) {
        ThinkingForm::Adaptive if asked == Some(true) || capabilities.thinks_by_default => {
            Some(json!({ "type": "adaptive", "display": "summarized" }))
        }
        ThinkingForm::Budget if asked == Some(true) => {
            // The rest of the limit is for the answer.
            let budget = request
                .reasoning
                .thinking_budget_tokens
                .unwrap_or(BUDGET_TOKENS);
            let most = max_tokens.checked_sub(1)?;
            let budget = budget.max(FEWEST_BUDGET_TOKENS).min(most);
            (budget >= FEWEST_BUDGET_TOKENS)
                .then(|| json!({ "type": "enabled", "budget_tokens": budget }))
        }
        ThinkingForm::Switch if asked == Some(true) => Some(json!({ "type": "enabled" })),
        _ => None,
    }
}

/// The tools that were called earlier, if the request has no tools: an agent without tools may
/// continue a conversation with calls. This API refuses calls in the history if the request has no
/// tools.
fn gone(request: &ChatRequest) -> BTreeSet<&str> {
    let contents = request.messages.iter().flat_map(|one| &one.content);
    let called = contents.filter_map(|content| match content {
        Content::ToolCall { name, .. } => Some(name.as_str()),
        _ => None,
    });
    called.filter(|_| request.tools.is_empty()).collect()
}

fn tool_choice(request: &ChatRequest) -> Option<Value> {
    if request.tools.is_empty() {
        let gone = gone(request);
        return (!gone.is_empty()).then(|| json!({ "type": "none" }));
    }
    let mut choice = match &request.tool_choice {
        ToolChoice::Auto if request.parallel_tool_calls => return None,
        ToolChoice::None => return Some(json!({ "type": "none" })),
        ToolChoice::Auto => json!({ "type": "auto" }),
        ToolChoice::Required => json!({ "type": "any" }),
        ToolChoice::Named(name) => json!({ "type": "tool", "name": name }),
    };
    if !request.parallel_tool_calls {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}
