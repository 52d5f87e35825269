//! What the model answers.
//!
//! A pure function of the request, so that a test says in the person's message what is to
//! happen: each line `call NAME ARGUMENTS` is a call of that tool. Without such a line, and
//! after the results of calls, the answer is a text, or data that fits the schema asked for.

use serde_json::{Value, json};

use super::asked::{Asked, Choice, Last};
use super::schema::instance;

/// A block of an answer, in the order of the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    Thought(String),
    Text(String),
    Call { name: String, arguments: Value },
}

/// The answer to a request that no rule refuses.
pub(crate) fn play(asked: &Asked<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    if thinks(asked) {
        let count = asked.conversation().len();
        blocks.push(Block::Thought(format!("thought {count}")));
    }
    let calls = calls(asked);
    if calls.is_empty() {
        blocks.push(Block::Text(text(asked)));
    }
    blocks.extend(calls);
    blocks
}

/// The models that think, which is all of today's unless they are asked not to.
fn thinks(asked: &Asked<'_>) -> bool {
    let body = asked.body;
    let old = ["gpt-4", "claude-3", "gemini-2.0"];
    let known = ["gpt-", "o3", "o4", "claude-", "gemini-"];
    if old.iter().any(|name| asked.model.starts_with(name))
        || !known.iter().any(|name| asked.model.starts_with(name))
    {
        return false;
    }
    let effort = [&body["reasoning"]["effort"], &body["reasoning_effort"]];
    !effort.contains(&&json!("none")) && body["thinking"]["type"] != "disabled"
}

fn calls(asked: &Asked<'_>) -> Vec<Block> {
    let tools = asked.tools();
    let forced = match asked.choice() {
        Choice::None => return Vec::new(),
        Choice::Auto => None,
        Choice::Any => tools.first(),
        Choice::Named(name) => tools.iter().find(|tool| tool.name == name),
    };
    let told = match asked.last() {
        Last::User(text) => text,
        Last::Results(_) => String::new(),
    };
    let mut calls: Vec<_> = told.lines().filter_map(call).collect();
    calls.retain(|(name, _)| tools.iter().any(|tool| tool.name == name));
    if let Some(tool) = forced
        && !calls.iter().any(|(name, _)| name == tool.name)
    {
        calls.push((tool.name.to_owned(), instance(tool.schema, tool.schema)));
    }
    let calls = calls.into_iter();
    calls
        .map(|(name, arguments)| Block::Call { name, arguments })
        .collect()
}

/// A line `call NAME ARGUMENTS`.
fn call(line: &str) -> Option<(String, Value)> {
    let (name, arguments) = line.trim().strip_prefix("call ")?.split_once(' ')?;
    Some((name.to_owned(), serde_json::from_str(arguments).ok()?))
}

fn text(asked: &Asked<'_>) -> String {
    if let Some(schema) = asked.schema() {
        return instance(&schema, &schema).to_string();
    }
    match asked.last() {
        Last::User(text) => format!("You said: {text}"),
        Last::Results(results) => format!("The tools gave: {}", results.join(", ")),
    }
}
