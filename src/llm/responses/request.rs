//! The body of a Responses request.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::input::input;
use crate::llm::past::Prefix;
use crate::llm::protocol::Asked;
use crate::llm::schema::is_closed;
use crate::llm::wire::instructions;
use crate::llm::{ChatRequest, LlmError, ToolChoice};

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
    parameters: &'a Value,
    /// Left out it means true, which refuses most schemas.
    strict: bool,
}

/// The body as JSON.
pub(super) fn body(request: &ChatRequest) -> Result<Asked, LlmError> {
    let bindings = Prefix::new(&request.past, &request.model).bindings();
    let tools = request.tools.iter().map(|tool| Tool {
        r#type: "function",
        name: &tool.name,
        description: &tool.description,
        parameters: &tool.parameters,
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
        reasoning: request
            .reasoning
            .effort
            .map(|effort| json!({ "effort": effort })),
        include: request
            .capabilities
            .reasons
            .then_some("reasoning.encrypted_content")
            .into_iter()
            .collect(),
    };
    Asked::new(&body, request, bindings)
}

/// The form of the answer and its length.
fn text(request: &ChatRequest) -> Option<Value> {
    let format = request.output_schema.as_ref().map(|output| {
        json!({
            "type": "json_schema",
            "name": output.name,
            "schema": output.schema,
            "strict": is_closed(&output.schema),
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
