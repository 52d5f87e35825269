//! Which messages may follow which.

use serde_json::Value;

use super::asked::Asked;
use super::rules::{Broken, Protocol};

fn list(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn at(index: usize, key: &str) -> Option<Broken> {
    Some(Broken {
        path: index.to_string(),
        key: key.to_owned(),
        ..Broken::default()
    })
}

/// The ids of the calls that a message makes.
fn calls(protocol: Protocol, message: &Value) -> Vec<&str> {
    match protocol {
        Protocol::Chat => list(&message["tool_calls"])
            .map(|one| text(&one["id"]))
            .collect(),
        Protocol::Anthropic => list(&message["content"])
            .filter(|one| one["type"] == "tool_use")
            .map(|one| text(&one["id"]))
            .collect(),
        Protocol::Responses => match message["type"] == "function_call" {
            true => vec![text(&message["call_id"])],
            false => Vec::new(),
        },
        Protocol::Gemini => list(&message["parts"])
            .filter_map(|one| Some(text(&one.get("functionCall")?["name"])))
            .collect(),
    }
}

/// The ids of the calls whose results a message has.
fn results(protocol: Protocol, message: &Value) -> Vec<&str> {
    match protocol {
        Protocol::Chat => match message["role"] == "tool" {
            true => vec![text(&message["tool_call_id"])],
            false => Vec::new(),
        },
        Protocol::Anthropic => list(&message["content"])
            .filter(|one| one["type"] == "tool_result")
            .map(|one| text(&one["tool_use_id"]))
            .collect(),
        Protocol::Responses => match message["type"] == "function_call_output" {
            true => vec![text(&message["call_id"])],
            false => Vec::new(),
        },
        Protocol::Gemini => list(&message["parts"])
            .filter_map(|one| Some(text(&one.get("functionResponse")?["name"])))
            .collect(),
    }
}

/// The first call that has no result where the vendor looks for it: in the next message, or for
/// Chat Completions in the tools' messages that follow, or for Responses anywhere later.
pub(crate) fn unanswered(asked: &Asked<'_>) -> Option<Broken> {
    let (protocol, messages) = (asked.protocol, asked.conversation());
    for (index, message) in messages.iter().enumerate() {
        let later = messages.get(index + 1..).unwrap_or_default();
        let given: Vec<_> = match protocol {
            Protocol::Chat => {
                let tools = later.iter().take_while(|one| one["role"] == "tool");
                tools.flat_map(|one| results(protocol, one)).collect()
            }
            Protocol::Responses => later
                .iter()
                .flat_map(|one| results(protocol, one))
                .collect(),
            Protocol::Anthropic | Protocol::Gemini => {
                let next = later.iter().take(1);
                next.flat_map(|one| results(protocol, one)).collect()
            }
        };
        let made = calls(protocol, message);
        let count_differs = protocol == Protocol::Gemini && made.len() != given.len();
        if !made.is_empty() && count_differs {
            return at(index, "");
        }
        if let Some(call) = made.iter().find(|call| !given.contains(call)) {
            return at(index, call);
        }
    }
    None
}

/// The first result whose call is not where the vendor looks for it.
pub(crate) fn uncalled(asked: &Asked<'_>) -> Option<Broken> {
    let (protocol, messages) = (asked.protocol, asked.conversation());
    for (index, message) in messages.iter().enumerate() {
        let earlier = messages.get(..index).unwrap_or_default();
        let made: Vec<_> = match protocol {
            Protocol::Responses => earlier
                .iter()
                .flat_map(|one| calls(protocol, one))
                .collect(),
            Protocol::Chat => {
                let before = earlier.iter().rev().find(|one| one["role"] != "tool");
                before
                    .into_iter()
                    .flat_map(|one| calls(protocol, one))
                    .collect()
            }
            Protocol::Anthropic | Protocol::Gemini => {
                let before = earlier.last().into_iter();
                before.flat_map(|one| calls(protocol, one)).collect()
            }
        };
        let given = results(protocol, message);
        if let Some(result) = given.iter().find(|result| !made.contains(result)) {
            return at(index, result);
        }
    }
    None
}

/// The last message, if it is the assistant's.
pub(crate) fn prefill(asked: &Asked<'_>) -> Option<Broken> {
    let last = asked.conversation().last()?;
    let role = text(&last["role"]);
    let index = asked.conversation().len() - 1;
    matches!(role, "assistant" | "model").then(|| at(index, role))?
}

/// The first message whose role does not alternate with the one before, as the chat templates
/// of open models want it. Instructions stand before all, and tools' messages go with the
/// calls.
pub(crate) fn repeated(asked: &Asked<'_>) -> Option<Broken> {
    let messages = asked.conversation();
    let start = usize::from(messages.first().is_some_and(|one| one["role"] == "system"));
    let mut wanted = "user";
    for (index, message) in messages.iter().enumerate().skip(start) {
        let role = text(&message["role"]);
        let with_tools = role == "tool" || list(&message["tool_calls"]).next().is_some();
        if with_tools {
            continue;
        }
        if role != wanted {
            return at(index, role);
        }
        wanted = if role == "user" { "assistant" } else { "user" };
    }
    None
}

/// The first message of the person's right after a tool's.
pub(crate) fn user_after_results(asked: &Asked<'_>) -> Option<Broken> {
    let mut pairs = asked.conversation().windows(2).enumerate();
    let (index, _) =
        pairs.find(|(_, pair)| pair[0]["role"] == "tool" && pair[1]["role"] == "user")?;
    at(index + 1, "user")
}

/// The first turn with results of tools and other parts.
pub(crate) fn beside_results(asked: &Asked<'_>) -> Option<Broken> {
    let mut turns = asked.conversation().iter().enumerate();
    let (index, _) = turns.find(|(_, turn)| {
        let is_result = |part: &Value| part.get("functionResponse").is_some();
        let parts = || list(&turn["parts"]);
        parts().any(is_result) && !parts().all(is_result)
    })?;
    at(index, "user")
}

/// The first answer of the current turn, if it calls tools and does not begin with thinking.
pub(crate) fn loop_without_thinking(asked: &Asked<'_>) -> Option<Broken> {
    if asked.body["thinking"]["type"] != "enabled" {
        return None;
    }
    let messages = asked.conversation();
    let is_result = |block: &Value| block["type"] == "tool_result";
    let has_results = |one: &&Value| list(&one["content"]).any(is_result);
    messages.last().filter(has_results)?;
    let begins = messages
        .iter()
        .rposition(|one| one["role"] == "user" && !has_results(&one))?;
    let kind = text(&messages.get(begins + 1)?["content"][0]["type"]);
    (!kind.ends_with("thinking")).then(|| at(begins + 1, kind))?
}

/// The first tool's result with an image in it.
pub(crate) fn image_in_result(asked: &Asked<'_>) -> Option<Broken> {
    let mut messages = asked.conversation().iter().enumerate();
    let (index, _) = messages.find(|(_, one)| {
        let mut parts = list(&one["content"]);
        one["role"] == "tool" && parts.any(|part| part["type"] == "image_url")
    })?;
    at(index, "tool")
}
