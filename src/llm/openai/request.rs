//! The body of a chat completions request.

use serde::Serialize;
use serde_json::{Value, json};

use super::dialect::{Dialect, LimitField, SchemaMode, SeedField};
use super::messages::{Message, messages, place};
use crate::llm::past::Prefix;
use crate::llm::protocol::Asked;
use crate::llm::results::placed;
use crate::llm::schema::{arguments, compatible, instruction, json_schema};
use crate::llm::turns::{AfterResults, turns};
use crate::llm::wire::instructions;
use crate::llm::{ChatRequest, LlmError, OutputSchema, ToolChoice, ToolSpec};

#[cfg(test)]
mod tests;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    random_seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Value,
}

/// The body as JSON.
pub(super) fn body(request: &ChatRequest, dialect: Dialect) -> Result<Asked, LlmError> {
    let limit_in = |wanted| {
        request
            .max_output_tokens
            .filter(|_| dialect.limit == wanted)
    };
    let seed_in = |wanted| request.sampling.seed.filter(|_| dialect.seed == wanted);
    let has_tools = !request.tools.is_empty();
    let output = request.output_schema.as_ref();
    let mut system = instructions(&request.messages);
    if dialect.schema != SchemaMode::Schema
        && let Some(output) = output
    {
        system.push(instruction(output));
    }
    let system = (!system.is_empty()).then(|| system.join("\n\n"));
    let tools: Vec<_> = request.tools.iter().map(tool).collect();
    let mut prefix = Prefix::new(&request.past, &request.model);
    prefix.add(&tools);
    let turns = turns(&request.messages, AfterResults::Answer);
    let turns = placed(turns, AfterResults::Answer, place);
    let (messages, bindings) = messages(request, system, &turns, dialect, prefix)?;
    let body = Body {
        model: &request.model,
        messages,
        stream: true,
        stream_options: dialect.asks_for_usage.then_some(StreamOptions {
            include_usage: true,
        }),
        temperature: request.sampling.temperature,
        top_p: request.sampling.top_p,
        seed: seed_in(SeedField::Seed),
        random_seed: seed_in(SeedField::RandomSeed),
        max_tokens: limit_in(LimitField::MaxTokens),
        max_completion_tokens: limit_in(LimitField::MaxCompletionTokens),
        tools,
        tool_choice: tool_choice(&request.tool_choice).filter(|_| has_tools),
        // It is the default, which servers without the field have too.
        parallel_tool_calls: (has_tools && !request.parallel_tool_calls).then_some(false),
        response_format: output.and_then(|output| response_format(output, dialect.schema)),
    };
    Asked::new(&body, bindings)
}

fn tool(tool: &ToolSpec) -> Tool<'_> {
    Tool {
        r#type: "function",
        function: Function {
            name: &tool.name,
            description: &tool.description,
            parameters: arguments(&tool.parameters, &compatible::TOOL),
        },
    }
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!("none")),
        ToolChoice::Required => Some(json!("required")),
        ToolChoice::Named(name) => {
            Some(json!({ "type": "function", "function": { "name": name } }))
        }
    }
}

fn response_format(output: &OutputSchema, mode: SchemaMode) -> Option<Value> {
    match mode {
        SchemaMode::Schema => {
            let (schema, strict) = json_schema(&output.schema);
            Some(json!({
                "type": "json_schema",
                "json_schema": { "name": output.name, "schema": schema, "strict": strict },
            }))
        }
        SchemaMode::Object => Some(json!({ "type": "json_object" })),
        SchemaMode::Words => None,
    }
}
