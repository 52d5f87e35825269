//! Gemini's `generateContent`.

use serde_json::{Value, json};

use super::{TOKENS, call_id, pieces};
use crate::support::strict::asked::Asked;
use crate::support::strict::binding;
use crate::support::strict::play::Block;
use crate::support::upstream::Script;

pub(crate) fn stream(asked: &Asked<'_>, blocks: &[Block]) -> Script {
    let shows = asked.body["generationConfig"]["thinkingConfig"]["includeThoughts"] == true;
    let mut parts = Vec::new();
    let mut is_first = true;
    let mut thought = false;
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Block::Thought(text) => {
                thought = true;
                if shows {
                    parts.push(json!({ "text": text, "thought": true }));
                }
            }
            Block::Text(text) => {
                parts.extend(pieces(text).iter().map(|piece| json!({ "text": piece })));
                if thought {
                    // The signature comes in a last part of its own.
                    parts.push(json!({ "text": "",
                        "thoughtSignature": binding::thought(asked, "text") }));
                }
            }
            Block::Call { name, arguments } => {
                let mut part = json!({ "functionCall": { "name": name, "args": arguments,
                    "id": call_id(asked, "fc", index) } });
                if thought && is_first {
                    part["thoughtSignature"] = binding::thought(asked, name).into();
                }
                is_first = false;
                parts.push(part);
            }
        }
    }
    let (read, written) = TOKENS;
    let chunk = |parts: Value, finish: Value| {
        let mut candidate = json!({ "index": 0, "content": { "role": "model", "parts": parts } });
        if !finish.is_null() {
            candidate["finishReason"] = finish;
        }
        json!({ "candidates": [candidate], "modelVersion": asked.model, "responseId": "strict",
            "usageMetadata": { "promptTokenCount": read, "candidatesTokenCount": written,
                "thoughtsTokenCount": 2, "totalTokenCount": read + written + 2 } })
    };
    let mut script = Script::stream();
    for part in parts {
        script = script.event(chunk(json!([part]), Value::Null));
    }
    script.event(chunk(json!([{ "text": "" }]), json!("STOP")))
}
