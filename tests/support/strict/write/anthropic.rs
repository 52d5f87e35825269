//! Anthropic's Messages.

use serde_json::{Value, json};

use super::{TOKENS, call_id, pieces};
use crate::support::strict::asked::Asked;
use crate::support::strict::binding;
use crate::support::strict::play::Block;
use crate::support::upstream::Script;

pub(crate) fn stream(asked: &Asked<'_>, blocks: &[Block]) -> Script {
    let (read, written) = TOKENS;
    let mut events = vec![json!({ "type": "message_start", "message": {
        "id": "msg_strict", "type": "message", "role": "assistant", "model": asked.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": { "input_tokens": read, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 1 } } })];
    let mut stop = "end_turn";
    for (index, block) in blocks.iter().enumerate() {
        let delta =
            |delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        let (start, deltas) = match block {
            Block::Thought(text) => {
                let start = json!({ "type": "thinking", "thinking": "", "signature": "" });
                (start, thinking(asked, text))
            }
            Block::Text(text) => {
                let deltas = pieces(text).into_iter();
                let deltas = deltas.map(|piece| json!({ "type": "text_delta", "text": piece }));
                (json!({ "type": "text", "text": "" }), deltas.collect())
            }
            Block::Call { name, arguments } => {
                stop = "tool_use";
                let start = json!({ "type": "tool_use", "id": call_id(asked, "toolu_", index),
                    "name": name, "input": {} });
                let deltas = pieces(&arguments.to_string()).into_iter();
                let deltas = deltas
                    .map(|piece| json!({ "type": "input_json_delta", "partial_json": piece }));
                (start, deltas.collect::<Vec<_>>())
            }
        };
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": start }));
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(
        json!({ "type": "message_delta", "usage": { "output_tokens": written },
        "delta": { "stop_reason": stop, "stop_sequence": null } }),
    );
    events.push(json!({ "type": "message_stop" }));
    events.into_iter().fold(Script::stream(), |script, event| {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        script.bytes(format!("event: {kind}\ndata: {event}\n\n"))
    })
}

/// The deltas of a thinking block; its text is empty unless a summary is asked for.
fn thinking(asked: &Asked<'_>, text: &str) -> Vec<Value> {
    let shown = match asked.body["thinking"]["display"] == "summarized" {
        true => text,
        false => "",
    };
    let deltas = pieces(shown).into_iter();
    let deltas = deltas.map(|piece| json!({ "type": "thinking_delta", "thinking": piece }));
    let signature = binding::thinking(asked, shown);
    deltas
        .chain([json!({ "type": "signature_delta", "signature": signature })])
        .collect()
}
