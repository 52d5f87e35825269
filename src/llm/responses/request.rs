//! The body of a Responses request.

use serde::Serialize;
use serde_json::{Value, json};

use super::input::input;
use crate::llm::past::Prefix;
use crate::llm::protocol::Asked;
use crate::llm::schema::{arguments, compatible, json_schema};
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
    parameters: Value,
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
        parameters: arguments(&tool.parameters, &compatible::TOOL),
        strict: false,
    });
    let has_tools = !request.tools.is_empty();
    let text = request.output_schema.as_ref().map(|output| {
        let (schema, strict) = json_schema(&output.schema);
        json!({ "format": {
            "type": "json_schema",
            "name": output.name,
            "schema": schema,
            "strict": strict,
        } })
    });
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
        text,
        // Without a summary nothing is seen of the reasoning.
        // https://developers.openai.com/api/docs/guides/reasoning#reasoning-summaries
        reasoning: reasons(&request.model).then(|| json!({ "summary": "auto" })),
        include: reasons(&request.model)
            .then_some("reasoning.encrypted_content")
            .into_iter()
            .collect(),
    };
    Asked::new(&body, bindings)
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named(name) => Some(json!({ "type": "function", "name": name })),
    }
}

/// Whether a model reasons: those that do not refuse to be asked for their reasoning. The
/// `o` models do, and every GPT from 5 on but those for chats.
fn reasons(model: &str) -> bool {
    let model = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let number = |rest: &str| -> Option<u32> {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
    };
    if let Some(rest) = model.strip_prefix("gpt-") {
        return number(rest).is_some_and(|version| version >= 5) && !model.contains("-chat");
    }
    model.strip_prefix('o').and_then(number).is_some() || model.starts_with("codex-")
}
