//! What a request asks, whatever the protocol.

use serde_json::Value;

use super::rules::Protocol;
use crate::support::upstream::Received;

/// A request as the player of answers sees it.
pub(crate) struct Asked<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) model: String,
    /// The key that the request came with; what a vendor signs belongs to its account.
    pub(crate) account: String,
    pub(crate) body: &'a Value,
}

/// A tool on offer.
pub(crate) struct Tool<'a> {
    pub(crate) name: &'a str,
    pub(crate) schema: &'a Value,
}

/// Which tool has to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    Auto,
    None,
    Any,
    Named(String),
}

/// The end of the conversation.
pub(crate) enum Last {
    User(String),
    Results(Vec<String>),
}

impl<'a> Asked<'a> {
    /// The request, if its path is one of a vendor's.
    pub(crate) fn read(request: &'a Received) -> Option<Self> {
        let path = request.line.strip_prefix("POST ")?;
        let path = path.split('?').next()?;
        let (protocol, model) = if path.ends_with("/chat/completions") {
            (Protocol::Chat, None)
        } else if path.ends_with("/responses") {
            (Protocol::Responses, None)
        } else if path.ends_with("/messages") {
            (Protocol::Anthropic, None)
        } else {
            let (_, name) = path.rsplit_once('/')?;
            let model = name.strip_suffix(":streamGenerateContent")?;
            (Protocol::Gemini, Some(model.to_owned()))
        };
        let body = &request.body;
        let model = model.or_else(|| Some(body["model"].as_str()?.to_owned()));
        let key = ["authorization", "x-api-key", "x-goog-api-key"];
        let account = key.iter().find_map(|name| request.header(name));
        Some(Self {
            protocol,
            model: model.unwrap_or_default(),
            account: account.unwrap_or_default().to_owned(),
            body,
        })
    }

    fn list(&self, pointer: &str) -> &'a [Value] {
        let found = self.body.pointer(pointer).and_then(Value::as_array);
        found.map_or(&[][..], Vec::as_slice)
    }

    /// The conversation, in the vendor's own form.
    pub(crate) fn conversation(&self) -> &'a [Value] {
        match self.protocol {
            Protocol::Chat | Protocol::Anthropic => self.list("/messages"),
            Protocol::Responses => self.list("/input"),
            Protocol::Gemini => self.list("/contents"),
        }
    }

    pub(crate) fn tools(&self) -> Vec<Tool<'a>> {
        let tool = |name: &'a Value, schema: &'a Value| Tool {
            name: name.as_str().unwrap_or_default(),
            schema,
        };
        let read = |one: &'a Value| match self.protocol {
            Protocol::Chat => tool(&one["function"]["name"], &one["function"]["parameters"]),
            Protocol::Responses => tool(&one["name"], &one["parameters"]),
            Protocol::Anthropic => tool(&one["name"], &one["input_schema"]),
            Protocol::Gemini => tool(&one["name"], &one["parametersJsonSchema"]),
        };
        match self.protocol {
            Protocol::Gemini => {
                let declared = self.list("/tools").iter();
                let declared = declared.filter_map(|one| one["functionDeclarations"].as_array());
                declared.flatten().map(read).collect()
            }
            _ => self.list("/tools").iter().map(read).collect(),
        }
    }

    pub(crate) fn choice(&self) -> Choice {
        let named = |value: &Value| Choice::Named(value.as_str().unwrap_or_default().to_owned());
        let choice = &self.body["tool_choice"];
        match self.protocol {
            Protocol::Gemini => {
                let config = &self.body["toolConfig"]["functionCallingConfig"];
                match (config["mode"].as_str(), &config["allowedFunctionNames"][0]) {
                    (Some("ANY"), Value::Null) => Choice::Any,
                    (Some("ANY"), name) => named(name),
                    (Some("NONE"), _) => Choice::None,
                    _ => Choice::Auto,
                }
            }
            Protocol::Anthropic => match choice["type"].as_str() {
                Some("any") => Choice::Any,
                Some("tool") => named(&choice["name"]),
                Some("none") => Choice::None,
                _ => Choice::Auto,
            },
            Protocol::Chat | Protocol::Responses => match choice {
                Value::String(text) if text == "required" => Choice::Any,
                Value::String(text) if text == "none" => Choice::None,
                Value::Object(fields) => {
                    named(fields.get("name").unwrap_or(&choice["function"]["name"]))
                }
                _ => Choice::Auto,
            },
        }
    }

    /// The schema that the answer is held to, or that the instructions ask for in words.
    pub(crate) fn schema(&self) -> Option<Value> {
        let native = match self.protocol {
            Protocol::Chat => "/response_format/json_schema/schema",
            Protocol::Responses => "/text/format/schema",
            Protocol::Anthropic => "/output_config/format/schema",
            Protocol::Gemini => "/generationConfig/responseJsonSchema",
        };
        let native = self.body.pointer(native).cloned();
        native.or_else(|| in_words(&self.instructions()))
    }

    pub(crate) fn instructions(&self) -> String {
        let body = self.body;
        match self.protocol {
            Protocol::Responses => text_of(&body["instructions"]),
            Protocol::Anthropic => text_of(&body["system"]),
            Protocol::Gemini => text_of(&body["systemInstruction"]["parts"]),
            Protocol::Chat => {
                let is_system =
                    |one: &&Value| one["role"] == "system" || one["role"] == "developer";
                let system = self.conversation().iter().filter(is_system);
                system.map(|one| text_of(&one["content"])).collect()
            }
        }
    }

    /// The end of the conversation: what the person said, or what tools gave.
    pub(crate) fn last(&self) -> Last {
        let conversation = self.conversation();
        let results: Vec<String> = match self.protocol {
            Protocol::Chat => {
                let tools = conversation
                    .iter()
                    .rev()
                    .take_while(|one| one["role"] == "tool");
                tools.map(|one| text_of(&one["content"])).collect()
            }
            Protocol::Responses => {
                let is_result = |one: &&Value| one["type"] == "function_call_output";
                let results = conversation.iter().rev().take_while(is_result);
                results.map(|one| text_of(&one["output"])).collect()
            }
            Protocol::Anthropic => {
                let blocks = conversation
                    .last()
                    .and_then(|one| one["content"].as_array());
                let is_result = |one: &&Value| one["type"] == "tool_result";
                let results = blocks.into_iter().flatten().filter(is_result);
                results.map(|one| text_of(&one["content"])).collect()
            }
            Protocol::Gemini => {
                let parts = conversation.last().and_then(|one| one["parts"].as_array());
                let results = parts.into_iter().flatten();
                let results = results.filter_map(|one| one.get("functionResponse"));
                results.map(|one| one["response"].to_string()).collect()
            }
        };
        if !results.is_empty() {
            return Last::Results(results);
        }
        let user = conversation.iter().rev().find(|one| one["role"] == "user");
        let user = user.map(|one| match self.protocol {
            Protocol::Gemini => text_of(&one["parts"]),
            _ => text_of(&one["content"]),
        });
        Last::User(user.unwrap_or_default())
    }
}

/// All text of a content: a text, or parts of which some have a text.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<_> = parts
                .iter()
                .filter_map(|one| one["text"].as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The JSON Schema in an instruction, which is the last object in it.
fn in_words(text: &str) -> Option<Value> {
    let (_, after) = text.rsplit_once("JSON Schema")?;
    let start = after.find('{')?;
    let mut values = serde_json::Deserializer::from_str(after.get(start..)?).into_iter();
    values.next()?.ok()
}
