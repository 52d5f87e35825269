//! The body of a chat completions request.

use serde::Serialize;
use serde_json::{Value, json};

use super::messages::{Message, messages, place};
use crate::capabilities::form;
use crate::conversation::{AfterResults, turns};
use crate::protocol::Asked;
use crate::results::placed;
use crate::schema::{arguments, compatible, instruction, json_schema};
use crate::signed_reasoning::Prefix;
use crate::wire::instructions;
use crate::{ChatProtocol, ChatRequest, LlmError, OutputSchema, ToolChoice, ToolSpec};
use talkgraph_domain::capabilities::{
    Effort, LimitField, SeedField, StructuredOutput, ThinkingForm, Verbosity,
};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Verbosity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
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
pub(super) fn body(request: &ChatRequest) -> Result<Asked, LlmError> {
    let capabilities = &*request.capabilities;
    let limit_in = |wanted| {
        request
            .max_output_tokens
            .filter(|_| capabilities.limit_field == wanted)
    };
    let seed = request.sampling.seed;
    let seed_in = |wanted| seed.filter(|_| capabilities.seed_field == wanted);
    let has_tools = !request.tools.is_empty();
    let output = request.output_schema.as_ref();
    let mut system = instructions(&request.messages);
    let form_of_answer = match capabilities.structured_output {
        StructuredOutput::NativeWithoutTools if has_tools => StructuredOutput::Words,
        form => form,
    };
    if matches!(
        form_of_answer,
        StructuredOutput::Object | StructuredOutput::Words
    ) && let Some(output) = output
    {
        system.push(instruction(output));
    }
    let system = (!system.is_empty()).then(|| system.join("\n\n"));
    let tools: Vec<_> = request.tools.iter().map(tool).collect();
    let mut prefix = Prefix::new(&request.past, &request.model);
    prefix.add(&tools);
    let turns = turns(&request.messages, AfterResults::Answer);
    let turns = placed(turns, AfterResults::Answer, place);
    let (messages, bindings) = messages(request, system, &turns, prefix)?;
    let body = Body {
        model: &request.model,
        messages,
        stream: true,
        stream_options: capabilities.stream_options.then_some(StreamOptions {
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
        // This is the default, also of servers without the field.
        parallel_tool_calls: (has_tools && !request.parallel_tool_calls).then_some(false),
        response_format: output.and_then(|output| response_format(output, form_of_answer)),
        reasoning_effort: request.reasoning.effort,
        verbosity: request.reasoning.verbosity,
        thinking: thinking(request),
    };
    Asked::new(&body, request, bindings)
}

/// The thinking switch of models that have one over this protocol.
fn thinking(request: &ChatRequest) -> Option<Value> {
    let form = form(&request.capabilities, ChatProtocol::ChatCompletions);
    let is_on = request
        .reasoning
        .thinking
        .filter(|_| form == ThinkingForm::Switch)?;
    let kind = if is_on { "enabled" } else { "disabled" };
    Some(json!({ "type": kind }))
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

fn response_format(output: &OutputSchema, mode: StructuredOutput) -> Option<Value> {
    match mode {
        StructuredOutput::Native | StructuredOutput::NativeWithoutTools => {
            let (schema, strict) = json_schema(&output.schema);
            Some(json!({
                "type": "json_schema",
                "json_schema": { "name": output.name, "schema": schema, "strict": strict },
            }))
        }
        StructuredOutput::Object => Some(json!({ "type": "json_object" })),
        StructuredOutput::Words => None,
    }
}
