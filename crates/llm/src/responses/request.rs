//! The body of a Responses request.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::input::input;
use crate::protocol::Asked;
use crate::schema::{arguments, compatible, json_schema};
use crate::signed_reasoning::Prefix;
use crate::wire::instructions;
use crate::{ChatRequest, LlmError, ToolChoice};
use talkgraph_domain::capabilities::Effort;

#[cfg(test)]
mod tests;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    store: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    instructions: String,
    input: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: Value,
    /// The default is true, which refuses most schemas.
    strict: bool,
}

/// The body as JSON.
pub(super) fn body(request: &ChatRequest) -> Result<Asked, LlmError> {
    let bindings = Prefix::new(&request.past, &request.model).bindings();
    let tools = request.tools.iter().map(|tool| Tool {
        r#type: "function",
        name: &tool.name,
        description: &tool.description,
        parameters: arguments(&tool.parameters, &compatible::TOOL),
        strict: false,
    });
    let has_tools = !request.tools.is_empty();
    let body = Body {
        model: &request.model,
        stream: true,
        store: false,
        instructions: instructions(&request.messages).join("\n\n"),
        input: input(request, &bindings)?,
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        max_output_tokens: request.max_output_tokens,
        tools: tools.collect(),
        tool_choice: tool_choice(&request.tool_choice).filter(|_| has_tools),
        parallel_tool_calls: (has_tools && !request.parallel_tool_calls).then_some(false),
        text: text(request),
        reasoning: reasoning(request),
        include: request
            .capabilities
            .reasons
            .then_some("reasoning.encrypted_content")
            .into_iter()
            .collect(),
    };
    Asked::new(&body, request, bindings)
}

/// The effort, and the request for a summary, without which no reasoning is visible.
/// <https://developers.openai.com/api/docs/guides/reasoning#reasoning-summaries>
fn reasoning(request: &ChatRequest) -> Option<Value> {
    let effort = request.reasoning.effort;
    let is_off = effort == Some(Effort::None);
    let mut reasoning = Map::new();
    reasoning.extend(effort.map(|effort| ("effort".to_owned(), json!(effort))));
    if request.capabilities.reasons && !is_off {
        reasoning.insert("summary".to_owned(), "auto".into());
    }
    (!reasoning.is_empty()).then(|| reasoning.into())
}

/// The form of the answer and its length.
fn text(request: &ChatRequest) -> Option<Value> {
    let format = request.output_schema.as_ref().map(|output| {
        let (schema, strict) = json_schema(&output.schema);
        json!({
            "type": "json_schema",
            "name": output.name,
            "schema": schema,
            "strict": strict,
        })
    });
    let mut text = Map::new();
    text.extend(format.map(|format| ("format".to_owned(), format)));
    let verbosity = request.reasoning.verbosity;
    text.extend(verbosity.map(|verbosity| ("verbosity".to_owned(), json!(verbosity))));
    (!text.is_empty()).then(|| text.into())
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named(name) => Some(json!({ "type": "function", "name": name })),
    }
}
