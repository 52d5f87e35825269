//! The body of a `generateContent` request.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::contents::{Turn, contents};
use crate::capabilities::form;
use crate::protocol::Asked;
use crate::schema::{self, gemini as rules, instruction};
use crate::signed_reasoning::Prefix;
use crate::wire::instructions;
use crate::{ChatProtocol, ChatRequest, LlmError, ToolChoice};
use talkgraph_domain::capabilities::{Effort, StructuredOutput, ThinkingForm};

#[cfg(test)]
mod tests;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Value>,
    contents: Vec<Turn>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Value>,
    generation_config: Config,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Value>,
}

/// A seed is an `int32` here.
const SEED_BITS: u64 = 0x7fff_ffff;

/// The body as JSON.
pub(super) fn body(request: &ChatRequest) -> Result<Asked, LlmError> {
    let bindings = Prefix::new(&request.past, &request.model).bindings();
    let mut system = instructions(&request.messages);
    let output = request.output_schema.as_ref();
    let native = output.filter(|_| match request.capabilities.structured_output {
        StructuredOutput::Native => true,
        StructuredOutput::NativeWithoutTools => request.tools.is_empty(),
        StructuredOutput::Object | StructuredOutput::Words => false,
    });
    if let (Some(output), None) = (output, native) {
        system.push(instruction(output));
    }
    let system = system.join("\n\n");
    let sampling = request.sampling;
    let body = Body {
        system_instruction: (!system.is_empty()).then(|| json!({ "parts": [{ "text": system }] })),
        contents: contents(request, request.capabilities.needs_signatures, &bindings),
        tools: tools(request).into_iter().collect(),
        tool_config: tool_config(request),
        generation_config: Config {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            seed: sampling.seed.map(|seed| seed & SEED_BITS),
            max_output_tokens: request.max_output_tokens,
            response_mime_type: native.map(|_| "application/json"),
            response_json_schema: native
                .and_then(|output| schema::answer(&output.schema, &rules::ANSWER)),
            thinking_config: thinking_config(request),
        },
    };
    Asked::new(&body, request, bindings)
}

fn tools(request: &ChatRequest) -> Option<Value> {
    let declarations: Vec<_> = request
        .tools
        .iter()
        .map(|tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "parametersJsonSchema": schema::arguments(&tool.parameters, &rules::TOOL),
            })
        })
        .collect();
    (!declarations.is_empty()).then(|| json!({ "functionDeclarations": declarations }))
}

/// Calls cannot be forbidden at the same time.
fn tool_config(request: &ChatRequest) -> Option<Value> {
    let config = match &request.tool_choice {
        _ if request.tools.is_empty() => return None,
        ToolChoice::Auto => return None,
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    };
    Some(json!({ "functionCallingConfig": config }))
}

/// The budgets that the vendor's own Chat Completions give to efforts.
/// <https://ai.google.dev/gemini-api/docs/openai#thinking>
fn budget_of(effort: Effort) -> u32 {
    match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High | Effort::Xhigh | Effort::Max => 24_576,
    }
}

/// The budget that leaves the amount to the model.
const DYNAMIC_BUDGET: i32 = -1;

/// The thinking configuration: models without thoughts refuse a request for them.
fn thinking_config(request: &ChatRequest) -> Option<Value> {
    let capabilities = &request.capabilities;
    let reasoning = request.reasoning;
    let mut config = Map::new();
    if capabilities.reasons {
        config.insert("includeThoughts".to_owned(), true.into());
    }
    let form = form(capabilities, ChatProtocol::GenerateContent);
    if form == ThinkingForm::Level {
        let level = reasoning.effort.filter(|effort| *effort != Effort::None);
        config.extend(level.map(|level| ("thinkingLevel".to_owned(), json!(level))));
    } else if form == ThinkingForm::Budget {
        let budget = match (reasoning.thinking, reasoning.thinking_budget_tokens) {
            (Some(false), _) => Some(json!(0)),
            (_, Some(tokens)) => Some(json!(tokens)),
            (thinking, None) => reasoning
                .effort
                .map(|effort| json!(budget_of(effort)))
                .or((thinking == Some(true)).then(|| json!(DYNAMIC_BUDGET))),
        };
        config.extend(budget.map(|budget| ("thinkingBudget".to_owned(), budget)));
    }
    (!config.is_empty()).then(|| config.into())
}
