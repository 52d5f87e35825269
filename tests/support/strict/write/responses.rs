//! OpenAI's Responses.

use serde_json::{Value, json};

use super::{TOKENS, call_id, pieces};
use crate::support::strict::asked::Asked;
use crate::support::strict::binding;
use crate::support::strict::play::Block;
use crate::support::upstream::Script;

/// The events so far, and the items that are done.
struct Events {
    script: Script,
    sequence: u64,
    output: Vec<Value>,
}

impl Events {
    fn say(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        let script = std::mem::replace(&mut self.script, Script::stream());
        self.script = script.bytes(format!("event: {kind}\ndata: {event}\n\n"));
    }

    fn added(&mut self, item: Value) {
        let index = self.output.len();
        self.say(
            "response.output_item.added",
            json!({ "output_index": index, "item": item }),
        );
    }

    fn done(&mut self, item: Value) {
        let index = self.output.len();
        self.say(
            "response.output_item.done",
            json!({ "output_index": index, "item": item }),
        );
        self.output.push(item);
    }

    /// Deltas of the item that is being written.
    fn deltas(&mut self, kind: &str, item: &str, text: &str) {
        for piece in pieces(text) {
            let event = json!({ "output_index": self.output.len(), "item_id": item,
                "content_index": 0, "summary_index": 0, "delta": piece });
            self.say(kind, event);
        }
    }
}

pub(crate) fn stream(asked: &Asked<'_>, blocks: &[Block]) -> Script {
    let mut events = Events {
        script: Script::stream(),
        sequence: 0,
        output: Vec::new(),
    };
    let mut response = json!({ "id": "resp_strict", "object": "response", "created_at": 1,
        "model": asked.model, "status": "in_progress", "output": [], "usage": null });
    events.say("response.created", json!({ "response": response }));
    events.say("response.in_progress", json!({ "response": response }));
    for (index, block) in blocks.iter().enumerate() {
        match block {
            Block::Thought(text) => {
                let follower = match blocks.get(index + 1) {
                    Some(Block::Call { .. }) => call_id(asked, "call_", index + 1),
                    _ => "message".to_owned(),
                };
                reasoning(&mut events, asked, text, &follower);
            }
            Block::Text(text) => message(&mut events, asked, index, text),
            Block::Call { name, arguments } => {
                let id = call_id(asked, "call_", index);
                call(&mut events, &id, name, &arguments.to_string());
            }
        }
    }
    let (read, written) = TOKENS;
    response["status"] = "completed".into();
    response["output"] = Value::Array(std::mem::take(&mut events.output));
    response["usage"] = json!({ "input_tokens": read, "output_tokens": written,
        "total_tokens": read + written, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens_details": { "reasoning_tokens": 2 } });
    events.say("response.completed", json!({ "response": response }));
    events.script
}

fn reasoning(events: &mut Events, asked: &Asked<'_>, text: &str, follower: &str) {
    let id = format!("rs_{:04}", asked.conversation().len());
    events.added(json!({ "type": "reasoning", "id": id, "summary": [] }));
    let mut item = json!({ "type": "reasoning", "id": id, "summary": [] });
    // A summary is written only if it is asked for.
    if asked.body["reasoning"]["summary"].is_string() {
        let part = json!({ "type": "summary_text", "text": "" });
        let event = json!({ "output_index": events.output.len(), "item_id": id,
            "summary_index": 0, "part": part });
        events.say("response.reasoning_summary_part.added", event);
        events.deltas("response.reasoning_summary_text.delta", &id, text);
        item["summary"] = json!([{ "type": "summary_text", "text": text }]);
    }
    let includes = asked.body["include"].as_array();
    if includes.is_some_and(|one| one.contains(&json!("reasoning.encrypted_content"))) {
        item["encrypted_content"] = binding::encrypted(asked, follower).into();
    }
    events.done(item);
}

fn message(events: &mut Events, asked: &Asked<'_>, index: usize, text: &str) {
    let id = call_id(asked, "msg_", index);
    let item = |status: &str, content: Value| {
        json!({ "type": "message", "id": id, "role": "assistant", "status": status,
            "content": content })
    };
    events.added(item("in_progress", json!([])));
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let place = json!({ "output_index": events.output.len(), "item_id": id,
        "content_index": 0, "part": part("") });
    events.say("response.content_part.added", place);
    events.deltas("response.output_text.delta", &id, text);
    let whole = json!({ "output_index": events.output.len(), "item_id": id,
        "content_index": 0, "text": text });
    events.say("response.output_text.done", whole);
    events.done(item("completed", json!([part(text)])));
}

fn call(events: &mut Events, id: &str, name: &str, arguments: &str) {
    let item = |status: &str, arguments: &str| {
        json!({ "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name,
            "status": status, "arguments": arguments })
    };
    events.added(item("in_progress", ""));
    events.deltas(
        "response.function_call_arguments.delta",
        &format!("fc_{id}"),
        arguments,
    );
    let whole = json!({ "output_index": events.output.len(), "item_id": format!("fc_{id}"),
        "arguments": arguments });
    events.say("response.function_call_arguments.done", whole);
    events.done(item("completed", arguments));
}
