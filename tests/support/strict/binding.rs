//! What vendors sign, and to what their signatures are bound.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::asked::Asked;
use super::canonical;
use super::rules::{Broken, Protocol};

/// A short digest of a value.
fn digest(value: &Value) -> String {
    let digest = Sha256::digest(canonical(value).to_string());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An assistant's or user's content as a list of blocks.
fn blocks(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        Value::Array(blocks) => blocks.clone(),
        _ => Vec::new(),
    }
}

/// Digests of the messages of a conversation up to a place.
fn prefix(messages: &[Value], last: &[Value]) -> String {
    let mut all: Vec<_> = messages
        .iter()
        .map(|one| json!({ "role": one["role"], "content": blocks(&one["content"]) }))
        .collect();
    if !last.is_empty() {
        all.push(json!({ "role": "assistant", "content": last }));
    }
    digest(&Value::Array(all))
}

/// The signature of a thinking block that begins an answer: the model, what came before, the
/// thinking itself, and the account.
pub(crate) fn thinking(asked: &Asked<'_>, text: &str) -> String {
    signature(asked, &prefix(asked.conversation(), &[]), text)
}

fn signature(asked: &Asked<'_>, prefix: &str, text: &str) -> String {
    let body = asked.body;
    [
        asked.model.clone(),
        digest(&Value::Array(blocks(&body["system"]))),
        digest(&body["tools"]),
        prefix.to_owned(),
        digest(&json!(text)),
        digest(&json!(asked.account)),
    ]
    .join("#")
}

/// The first thinking block that the model can read but not accept.
pub(crate) fn unbound_thinking(asked: &Asked<'_>) -> Option<Broken> {
    let messages = asked.conversation();
    for (index, message) in messages.iter().enumerate() {
        let content = blocks(&message["content"]);
        let before = messages.get(..index).unwrap_or_default();
        for (place, block) in content.iter().enumerate() {
            if block["type"] != "thinking" {
                continue;
            }
            let given = block["signature"].as_str().unwrap_or_default();
            // What another model has thought is dropped without an error.
            if given.split('#').count() == 6 && !given.starts_with(&format!("{}#", asked.model)) {
                continue;
            }
            let earlier = prefix(before, content.get(..place).unwrap_or_default());
            let text = block["thinking"].as_str().unwrap_or_default();
            let expected = signature(asked, &earlier, text);
            if given != expected {
                let changed = [
                    "model",
                    "`system` prompt",
                    "`tools`",
                    "`messages`",
                    "text",
                    "account",
                ];
                let parts = given.split('#').zip(expected.split('#')).zip(changed);
                let mut differ = parts.filter(|((one, other), _)| one != other);
                let what = differ.next().map_or("signature", |(_, what)| what);
                return Some(Broken {
                    path: format!("messages.{index}.content.{place}"),
                    detail: format!("The {what} differs from the one this block was created with."),
                    ..Broken::default()
                });
            }
        }
    }
    None
}

/// The signature of a Gemini part.
pub(crate) fn thought(asked: &Asked<'_>, call: &str) -> String {
    [asked.model.as_str(), call, &digest(&json!(asked.account))].join("#")
}

/// Stands for the signature of a call that another model has made.
const SKIPPED: [&str; 2] = [
    "skip_thought_signature_validator",
    "context_engineering_is_the_way_to_go",
];

/// The calls of the current turn's steps that are the first of their step, with their places
/// and signatures; a turn begins with a text of the person.
fn step_calls<'a>(asked: &Asked<'a>) -> Vec<(usize, &'a str, Option<&'a str>)> {
    let conversation = asked.conversation();
    let is_gemini = asked.protocol == Protocol::Gemini;
    let begins = |one: &Value| match is_gemini {
        true => {
            let parts = one["parts"].as_array();
            let mut parts = parts.into_iter().flatten();
            one["role"] == "user" && parts.any(|part| part.get("text").is_some())
        }
        false => one["role"] == "user",
    };
    let start = conversation.iter().rposition(begins).unwrap_or(0);
    let steps = conversation.iter().enumerate().skip(start);
    let first = steps.filter_map(|(index, one)| {
        if is_gemini {
            let parts = one["parts"].as_array()?;
            let part = parts
                .iter()
                .find(|part| part.get("functionCall").is_some())?;
            let name = part["functionCall"]["name"].as_str()?;
            return Some((index, name, part["thoughtSignature"].as_str()));
        }
        let call = one["tool_calls"].get(0)?;
        let signature = &call["extra_content"]["google"]["thought_signature"];
        Some((
            index,
            call["function"]["name"].as_str()?,
            signature.as_str(),
        ))
    });
    first.collect()
}

/// The first call of the current turn that has no signature.
pub(crate) fn unsigned_call(asked: &Asked<'_>) -> Option<Broken> {
    let calls = step_calls(asked);
    let (position, name, _) = calls
        .into_iter()
        .find(|(_, _, signature)| signature.is_none())?;
    Some(Broken {
        path: position.to_string(),
        key: name.to_owned(),
        ..Broken::default()
    })
}

/// The first signature that this model has not made for this account.
pub(crate) fn foreign_signature(asked: &Asked<'_>) -> Option<Broken> {
    let parts = asked
        .conversation()
        .iter()
        .enumerate()
        .flat_map(|(index, one)| {
            let gemini = one["parts"].as_array().into_iter().flatten();
            let gemini = gemini.map(|part| &part["thoughtSignature"]);
            let chat = one["tool_calls"].as_array().into_iter().flatten();
            let chat = chat.map(|call| &call["extra_content"]["google"]["thought_signature"]);
            gemini.chain(chat).map(move |signature| (index, signature))
        });
    let account = digest(&json!(asked.account));
    let foreign = |signature: &str| {
        let mut fields = signature.split('#');
        let model = fields.next();
        !SKIPPED.contains(&signature)
            && (model != Some(asked.model.as_str()) || fields.nth(1) != Some(&account))
    };
    let mut signed = parts.filter_map(|(index, value)| Some((index, value.as_str()?)));
    let (index, _) = signed.find(|(_, signature)| foreign(signature))?;
    Some(Broken {
        path: index.to_string(),
        ..Broken::default()
    })
}

/// The encrypted form of a reasoning: the account, and the item that follows it.
pub(crate) fn encrypted(asked: &Asked<'_>, follower: &str) -> String {
    format!("gAAA{}.{follower}", digest(&json!(asked.account)))
}

/// The first reasoning that another account has encrypted.
pub(crate) fn foreign_reasoning(asked: &Asked<'_>) -> Option<Broken> {
    let own = format!("gAAA{}.", digest(&json!(asked.account)));
    let mut items = asked.conversation().iter();
    let item = items.find(|item| {
        let content = item["encrypted_content"].as_str();
        item["type"] == "reasoning" && !content.is_some_and(|text| text.starts_with(&own))
    })?;
    let is_ours = item["encrypted_content"]
        .as_str()
        .is_some_and(|text| text.starts_with("gAAA"));
    let reason = match is_ours {
        true => "Encrypted content organization_id did not match the target organization.",
        false => "Encrypted content could not be decrypted or parsed.",
    };
    Some(Broken {
        key: item["id"].as_str().unwrap_or_default().to_owned(),
        detail: reason.to_owned(),
        ..Broken::default()
    })
}

/// The first reasoning that is not followed by what it led to.
pub(crate) fn lonely_reasoning(asked: &Asked<'_>) -> Option<Broken> {
    let items = asked.conversation();
    let lonely = items.iter().enumerate().find(|(index, item)| {
        if item["type"] != "reasoning" {
            return false;
        }
        let content = item["encrypted_content"].as_str().unwrap_or_default();
        let follower = content.split_once('.').map_or("", |(_, follower)| follower);
        let mut later = items.iter().skip(index + 1);
        let next = later.find(|one| one["type"] != "reasoning");
        !next.is_some_and(|next| match follower {
            "message" => next["role"] == "assistant",
            call => next["call_id"] == call && next["type"] == "function_call",
        })
    })?;
    Some(Broken {
        key: lonely.1["id"].as_str().unwrap_or_default().to_owned(),
        ..Broken::default()
    })
}
