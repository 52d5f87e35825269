//! The body of a `generateContent` request.

use serde::Serialize;
use serde_json::{Value, json};

use super::contents::{Turn, contents};
use crate::llm::past::Prefix;
use crate::llm::protocol::Asked;
use crate::llm::schema::{self, gemini as rules, instruction};
use crate::llm::wire::instructions;
use crate::llm::{ChatRequest, LlmError, ToolChoice};

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
    // Not together with tools: models before Gemini 3 refuse it.
    let native = output.filter(|_| request.tools.is_empty());
    if let (Some(output), None) = (output, native) {
        system.push(instruction(output));
    }
    let system = system.join("\n\n");
    let sampling = request.sampling;
    let body = Body {
        system_instruction: (!system.is_empty()).then(|| json!({ "parts": [{ "text": system }] })),
        contents: contents(request, needs_signatures(request), &bindings),
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
            thinking_config: thinks(&request.model).then(|| json!({ "includeThoughts": true })),
        },
    };
    Asked::new(&body, bindings)
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

/// There is no way to forbid calls at the same time.
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

fn gemini(model: &str) -> Option<&str> {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    name.strip_prefix("gemini-")
}

/// Whether a model's thoughts can be asked for: those that have none refuse it.
fn thinks(model: &str) -> bool {
    let speaks = |rest: &&str| !rest.contains("image") && !rest.contains("tts");
    gemini(model)
        .filter(speaks)
        .is_some_and(|rest| !rest.starts_with("1.") && !rest.starts_with("2.0"))
}

/// Whether a model refuses calls without the signature of its thoughts.
fn needs_signatures(request: &ChatRequest) -> bool {
    request.capabilities.needs_signatures
        || gemini(&request.model)
            .is_some_and(|rest| !rest.starts_with("1.") && !rest.starts_with("2."))
}
