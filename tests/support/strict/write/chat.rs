//! Chat Completions.

use serde_json::{Value, json};

use super::{TOKENS, call_id, pieces};
use crate::support::strict::asked::Asked;
use crate::support::strict::binding;
use crate::support::strict::play::Block;
use crate::support::upstream::Script;

pub(crate) fn stream(asked: &Asked<'_>, blocks: &[Block]) -> Script {
    let is_gemini = asked.model.starts_with("gemini-");
    let mut deltas = vec![json!({ "role": "assistant", "content": "" })];
    let (mut calls, mut finish) = (0_usize, "stop");
    for block in blocks {
        match block {
            // OpenAI keeps it to itself over this protocol.
            Block::Thought(_) => {}
            Block::Text(text) => {
                deltas.extend(pieces(text).iter().map(|piece| json!({ "content": piece })));
            }
            Block::Call { name, arguments } => {
                let mut call = json!({ "index": calls, "id": call_id(asked, "call_", calls),
                    "type": "function", "function": { "name": name, "arguments": "" } });
                if is_gemini && calls == 0 {
                    call["extra_content"]["google"]["thought_signature"] =
                        binding::thought(asked, name).into();
                }
                deltas.push(json!({ "tool_calls": [call] }));
                for piece in pieces(&arguments.to_string()) {
                    deltas.push(json!({ "tool_calls": [
                        { "index": calls, "function": { "arguments": piece } }] }));
                }
                (calls, finish) = (calls + 1, "tool_calls");
            }
        }
    }
    let chunk = |choices: Value, usage: Value| {
        json!({ "id": "chatcmpl-strict", "object": "chat.completion.chunk", "created": 1,
            "model": asked.model, "choices": choices, "usage": usage })
    };
    let choice = |delta: Value, finish: Value| {
        chunk(
            json!([{ "index": 0, "delta": delta, "finish_reason": finish }]),
            Value::Null,
        )
    };
    let mut script = Script::stream();
    for delta in deltas {
        script = script.event(choice(delta, Value::Null));
    }
    script = script.event(choice(json!({}), json!(finish)));
    if asked.body["stream_options"]["include_usage"] == true {
        let (read, written) = TOKENS;
        let usage = json!({ "prompt_tokens": read, "completion_tokens": written,
            "total_tokens": read + written });
        script = script.event(chunk(json!([]), usage));
    }
    script.event("[DONE]")
}
