//! The refusals, as data.

use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::checks::Check;

/// A vendor's way to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// OpenAI's Chat Completions, and what imitates it.
    Chat,
    Responses,
    Anthropic,
    Gemini,
}

/// One documented refusal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    /// The models it holds for; `*` at the end of a name stands for any ending. All where
    /// there are none.
    #[serde(default)]
    pub(crate) models: Vec<String>,
    /// The models it does not hold for.
    #[serde(default)]
    pub(crate) except: Vec<String>,
    /// What all must hold of the body.
    #[serde(default)]
    pub(crate) when: Vec<Condition>,
    /// What depends on the whole conversation.
    pub(crate) check: Option<Check>,
    /// The keywords of JSON Schema that a check of schemas refuses.
    #[serde(default)]
    pub(crate) forbidden: Vec<String>,
    /// The formats of texts that a check of schemas takes; any where there are none.
    #[serde(default)]
    pub(crate) formats: Vec<String>,
    /// The longest name that a check of names takes.
    pub(crate) longest: Option<usize>,
    #[serde(default = "bad_request")]
    pub(crate) status: u16,
    /// The error's fields, as the vendor writes them. `{model}`, `{path}`, `{key}`, `{value}`
    /// and `{detail}` are replaced.
    pub(crate) error: Map<String, Value>,
    /// The page that documents it.
    pub(crate) source: String,
    /// What the rule refuses, added to the smallest body of the protocol.
    pub(crate) refuses: Option<Value>,
    /// What is like it and must be taken.
    pub(crate) takes: Option<Value>,
}

/// Something that a body may be. Of several tests in one condition all must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Condition {
    /// A JSON pointer; `*` stands for each item of a list.
    path: String,
    /// The value is there, or not.
    has: Option<bool>,
    is: Option<Value>,
    /// The value is another, or absent.
    not: Option<Value>,
    one_of: Option<Vec<Value>>,
    /// The value is there and none of these.
    none_of: Option<Vec<Value>>,
    /// The text is empty or white space alone.
    blank: Option<bool>,
    above: Option<f64>,
    /// The object has another key than these.
    only: Option<Vec<String>>,
}

/// Where a rule was broken.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) detail: String,
}

fn bad_request() -> u16 {
    400
}

/// All rules, in the order of their file.
pub(crate) fn rules() -> &'static [Rule] {
    #[derive(Deserialize)]
    struct File {
        rule: Vec<Rule>,
    }
    static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
    RULES.get_or_init(|| {
        let file: File = toml::from_str(include_str!("rules.toml")).unwrap();
        file.rule
    })
}

/// True if a name fits one of the patterns.
pub(crate) fn fits(patterns: &[String], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
}

impl Rule {
    /// Where a request breaks it, if it does.
    pub(crate) fn broken_by(&self, asked: &Asked<'_>) -> Option<Broken> {
        let holds = self.protocol == asked.protocol
            && (self.models.is_empty() || fits(&self.models, &asked.model))
            && !fits(&self.except, &asked.model);
        if !holds {
            return None;
        }
        let mut first = None;
        for condition in &self.when {
            let hit = condition.hit(asked.body)?;
            first.get_or_insert(hit);
        }
        match self.check {
            Some(check) => check.broken_by(self, asked),
            None => first,
        }
    }

    /// The vendor's text.
    pub(crate) fn message(&self, asked: &Asked<'_>, broken: &Broken) -> String {
        let message = self.error.get("message").and_then(Value::as_str);
        fill(message.unwrap_or_default(), asked, broken)
    }

    /// The body of the refusal, in the vendor's form.
    pub(crate) fn body(&self, asked: &Asked<'_>, broken: &Broken) -> Value {
        let mut error = self.error.clone();
        for value in error.values_mut() {
            if let Value::String(text) = value {
                *text = fill(text, asked, broken);
            }
        }
        match self.protocol {
            Protocol::Chat | Protocol::Responses => {
                for (name, otherwise) in [
                    ("type", json!("invalid_request_error")),
                    ("param", Value::Null),
                    ("code", Value::Null),
                ] {
                    error.entry(name).or_insert(otherwise);
                }
                json!({ "error": error })
            }
            Protocol::Anthropic => {
                error
                    .entry("type")
                    .or_insert_with(|| json!("invalid_request_error"));
                json!({ "type": "error", "error": error, "request_id": "req_strict" })
            }
            Protocol::Gemini => {
                error.entry("code").or_insert_with(|| json!(self.status));
                error
                    .entry("status")
                    .or_insert_with(|| json!("INVALID_ARGUMENT"));
                json!({ "error": error })
            }
        }
    }
}

fn fill(text: &str, asked: &Asked<'_>, broken: &Broken) -> String {
    text.replace("{model}", &asked.model)
        .replace("{path}", &broken.path)
        .replace("{key}", &broken.key)
        .replace("{value}", &broken.value)
        .replace("{detail}", &broken.detail)
}

impl Condition {
    /// The first place where it holds.
    fn hit(&self, body: &Value) -> Option<Broken> {
        let steps: Vec<_> = self.path.split('/').skip(1).collect();
        let mut places = Vec::new();
        collect(body, &steps, String::new(), &mut places);
        if places.is_empty() {
            // An absent value can only be absent, or not be something.
            let absent = self.has.map_or(self.not.is_some(), |has| !has);
            return absent.then(Broken::default);
        }
        places
            .into_iter()
            .find_map(|(path, value)| self.holds(&path, value))
    }

    fn holds(&self, path: &str, value: &Value) -> Option<Broken> {
        let listed = |values: &[Value]| values.iter().any(|one| same(one, value));
        let is_blank = value.as_str().is_some_and(|text| text.trim().is_empty());
        let extra = self.only.as_ref().and_then(|only| {
            let mut keys = value
                .as_object()
                .into_iter()
                .flat_map(|fields| fields.keys());
            keys.find(|key| !only.contains(key)).cloned()
        });
        let holds = self.has != Some(false)
            && self.is.as_ref().is_none_or(|one| same(one, value))
            && self.not.as_ref().is_none_or(|one| !same(one, value))
            && self.one_of.as_deref().is_none_or(listed)
            && self.none_of.as_deref().is_none_or(|values| !listed(values))
            && self.blank.is_none_or(|blank| blank == is_blank)
            && self
                .above
                .is_none_or(|limit| value.as_f64().is_some_and(|value| value > limit))
            && (self.only.is_none() || extra.is_some());
        holds.then(|| Broken {
            path: path.trim_start_matches('.').to_owned(),
            key: extra.unwrap_or_default(),
            value: value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
            detail: String::new(),
        })
    }
}

/// Numbers are the same whatever their type.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}

/// All places that a path leads to, with their dotted names.
fn collect<'a>(
    value: &'a Value,
    steps: &[&str],
    path: String,
    places: &mut Vec<(String, &'a Value)>,
) {
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_null() {
            places.push((path, value));
        }
        return;
    };
    if *step == "*" {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            collect(item, rest, format!("{path}.{index}"), places);
        }
    } else if let Some(next) = value.get(step) {
        collect(next, rest, format!("{path}.{step}"), places);
    }
}
