//! The answer to requests that have no script.

use serde_json::Value;

use super::script::{Script, finish, usage};

/// `echo N: TEXT` with the last user message and the number of messages, so that a test
/// sees in the answer what the model was told. One token per message is counted as input.
pub(super) fn echo(request: &Value) -> Script {
    let messages = request["messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let is_user = |message: &&Value| message["role"] == "user";
    let last = messages.iter().rev().find(is_user);
    let text = last
        .and_then(|message| message["content"].as_str())
        .unwrap_or("");
    let answer = format!("echo {}: {text}", messages.len());
    let tokens: Vec<_> = answer.split_inclusive(' ').collect();
    let counted = usage(messages.len() as u64, tokens.len() as u64);
    let script = Script::stream().text(tokens).event(finish("stop"));
    let script = if request["stream_options"]["include_usage"] == true {
        script.event(counted)
    } else {
        script
    };
    script.event("[DONE]")
}
