//! The body of a Messages request.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::messages::{Message, cached_text, messages};
use crate::llm::past::Prefix;
use crate::llm::protocol::Asked;
use crate::llm::schema::{self, anthropic, instruction};
use crate::llm::wire::instructions;
use crate::llm::{ChatRequest, Content, LlmError, ToolChoice};

#[cfg(test)]
mod tests;

/// The longest answer where the agent sets none, in tokens: this API wants a number, and
/// takes this one for every model since Claude 3.5.
const MAX_TOKENS: u32 = 8_192;

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
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: Value,
}

/// The body as JSON.
pub(super) fn body(request: &ChatRequest, has_schemas: bool) -> Result<Asked, LlmError> {
    let mut system = instructions(&request.messages);
    let output = request.output_schema.as_ref();
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
    let tools: Vec<_> = tools.chain(gone).collect();
    let mut prefix = Prefix::new(&request.past, &request.model);
    prefix.add(&system);
    prefix.add(&tools);
    let (messages, bindings) = messages(request, prefix)?;
    // The scale ends at 1 here, and beyond it the request is refused.
    let temperature = request.sampling.temperature.map(|value| value.min(1.0));
    let body = Body {
        model: &request.model,
        max_tokens: request.max_output_tokens.unwrap_or(MAX_TOKENS),
        stream: true,
        system: (!system.is_empty())
            .then(|| cached_text(&system, request.cache_ttl))
            .into_iter()
            .collect(),
        messages,
        temperature,
        // Newer models refuse both at once.
        top_p: request.sampling.top_p.filter(|_| temperature.is_none()),
        tools,
        tool_choice: tool_choice(request),
        output_config: native
            .map(|schema| json!({ "format": { "type": "json_schema", "schema": schema } })),
    };
    Asked::new(&body, bindings)
}

/// The tools that were called earlier, where none is told of now: an agent without tools may go
/// on with what another has begun. This API refuses calls in the history where no tools are told
/// of.
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
