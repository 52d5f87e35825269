//! Changes to a request's body.

use std::fmt;

use serde_json::{Map, Value};

/// Matches each element of a list in a path.
const EACH: &str = "*";

/// The longest supported path.
const MAX_SEGMENTS: usize = 16;

/// Top-level parameters that may be left out, with everything in them.
const TOP: [&str; 28] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "random_seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "reasoning_effort",
    "reasoning",
    "verbosity",
    "stream_options",
    "include",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "metadata",
    "thinking",
    "enable_thinking",
    "chat_template_kwargs",
    "cache_control",
    "context_management",
];

/// Nested parameters that may be left out, each with its parent.
const NESTED: [(&str, &str); 10] = [
    ("reasoning", "effort"),
    ("reasoning", "summary"),
    ("text", "verbosity"),
    ("output_config", "effort"),
    ("generationConfig", "temperature"),
    ("generationConfig", "topP"),
    ("generationConfig", "topK"),
    ("generationConfig", "seed"),
    ("generationConfig", "thinkingConfig"),
    ("generationConfig", "presencePenalty"),
];

/// The fields of the conversation, of which only annotations of single messages may be left out.
const CONVERSATION: [&str; 6] = [
    "messages",
    "input",
    "contents",
    "system",
    "systemInstruction",
    "instructions",
];
const ANNOTATIONS: [&str; 4] = [
    "cache_control",
    "reasoning_content",
    "reasoning_details",
    "reasoning",
];

/// The two limits of an answer in Chat Completions; a server accepts one of them.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// A change to a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Leaves a parameter out.
    Drop(Vec<String>),
    /// Renames a top-level parameter.
    Rename {
        /// The refused name.
        from: &'static str,
        /// The replacing name.
        to: &'static str,
    },
}

impl Change {
    /// Applies the change; false when the body has no such parameter.
    pub(crate) fn apply(&self, body: &mut Value) -> bool {
        match self {
            Self::Drop(path) => remove(body, path),
            Self::Rename { from, to } => {
                let Some(body) = body.as_object_mut() else {
                    return false;
                };
                let Some(value) = body.shift_remove(*from) else {
                    return false;
                };
                body.insert((*to).to_owned(), value);
                true
            }
        }
    }

    /// Returns true if it concerns a parameter of this name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self {
            Self::Drop(path) => path.last().is_some_and(|last| same(last, name)),
            Self::Rename { from, .. } => *from == name,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop(path) => f.write_str(&path.join(".")),
            Self::Rename { from, to } => write!(f, "{from} (sent as {to})"),
        }
    }
}

/// The path in a body for a server's name of a parameter: in the form `messages[2].x`,
/// `messages.2.x`, `body.x`, in another case (Gemini), or with names of its own between (Anthropic:
/// `messages.0.content.0.text.cache_control`).
pub(super) fn locate(path: &str, body: &Value) -> Option<Vec<String>> {
    let segments: Vec<_> = path
        .split(['.', '[', ']'])
        .filter(|segment| !segment.is_empty())
        .take(MAX_SEGMENTS)
        .collect();
    let nested = ["generationConfig", "reasoning", "text", "output_config"];
    follow(&segments, body).or_else(|| {
        // A name without its parent.
        nested.iter().find_map(|parent| {
            let mut found = follow(&segments, body.get(parent)?)?;
            found.insert(0, (*parent).to_owned());
            Some(found)
        })
    })
}

fn follow(segments: &[&str], mut value: &Value) -> Option<Vec<String>> {
    let mut path = Vec::new();
    let (last, _) = segments.split_last()?;
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match value {
            Value::Object(object) => {
                // A name that is absent, or leads nowhere, is the server's own.
                let leads_on = |next: &Value| is_last || next.is_object() || next.is_array();
                let mut found = object.iter().filter(|(key, _)| same(key, segment));
                let Some((key, next)) = found.find(|(_, next)| leads_on(next)) else {
                    continue;
                };
                path.push(key.clone());
                value = next;
            }
            Value::Array(elements) => {
                let index: usize = segment.parse().ok()?;
                path.push(EACH.to_owned());
                value = elements.get(index)?;
            }
            _ => {}
        }
    }
    let found = path.last().is_some_and(|found| same(found, last));
    found.then_some(path)
}

/// Returns true for names that are equal in `snake_case` and in `camelCase`.
fn same(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> String {
        let letters = name.chars().filter(|c| *c != '_');
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    one == other || letters(one) == letters(other)
}

/// The part of a path that may be left out, if any.
pub(super) fn droppable(path: &[String]) -> Option<Vec<String>> {
    let (first, last) = (path.first()?, path.last()?);
    if CONVERSATION.contains(&first.as_str()) {
        let is_annotation = path.len() > 1 && ANNOTATIONS.contains(&last.as_str());
        return is_annotation.then(|| path.to_vec());
    }
    if first == "tools" {
        // Not a property with that name in a tool's schema.
        let is_own = path.len() <= 4 && ["cache_control", "strict"].contains(&last.as_str());
        return is_own.then(|| path.to_vec());
    }
    let second = path.get(1).map(String::as_str);
    if NESTED
        .iter()
        .any(|(parent, name)| parent == first && Some(*name) == second)
    {
        return path.get(..2).map(<[String]>::to_vec);
    }
    let whole = TOP.contains(&first.as_str());
    whole.then(|| vec![first.clone()])
}

/// The other name of a limit in Chat Completions.
pub(super) fn renamed(path: &[String], body: &Value) -> Option<Change> {
    let [name] = path else {
        return None;
    };
    let [old, new] = LIMITS;
    let (from, to) = match name.as_str() {
        name if name == old => (old, new),
        name if name == new => (new, old),
        _ => return None,
    };
    body.get(to)
        .is_none()
        .then_some(Change::Rename { from, to })
}

fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    match value {
        Value::Array(elements) if first == EACH => {
            let removed = elements.iter_mut().map(|element| remove(element, rest));
            removed.fold(false, |any, one| any | one)
        }
        Value::Object(object) if rest.is_empty() => object.shift_remove(first).is_some(),
        Value::Object(object) => {
            let removed = object.get_mut(first).is_some_and(|next| remove(next, rest));
            let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
            if removed && object.get(first).is_some_and(is_empty) {
                object.shift_remove(first);
            }
            removed
        }
        _ => false,
    }
}
