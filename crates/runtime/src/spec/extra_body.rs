//! The extra fields of an agent's model requests.

use serde_json::{Map, Value};

use crate::spec::spec_error::SpecError;

/// The path of the field, as in a file.
const FIELD: &str = "parameters.extra_body";

/// The most bytes of JSON.
const MAX_BYTES: usize = 16_384;

/// The names that an agent of the API may not set at any depth, without `_` and in lower case. They
/// determine the model, the limits, the price, the number of outputs, the service tier or the
/// region of a request; or they are the request itself, which the server builds; or they make the
/// provider act or store data on its own.
const RESERVED: [&str; 64] = [
    // The model, and its host.
    "model",
    "models",
    "fallbacks",
    "fallback",
    "route",
    "provider",
    "providers",
    "inferencegeo",
    "region",
    "deployment",
    // The limits.
    "maxtokens",
    "maxcompletiontokens",
    "maxoutputtokens",
    "maxtokenstosample",
    "maxnewtokens",
    "numpredict",
    "maxtoolcalls",
    "thinkingbudget",
    "budgettokens",
    "mintokens",
    // The number of answers.
    "n",
    "bestof",
    "candidatecount",
    "numcompletions",
    // The price.
    "servicetier",
    "speed",
    "prediction",
    "modalities",
    "responsemodalities",
    "audio",
    "speechconfig",
    "imageconfig",
    "mediaresolution",
    "websearchoptions",
    "plugins",
    "transforms",
    "promptcacheretention",
    "promptcachekey",
    "promptcacheoptions",
    "cachecontrol",
    "cachedcontent",
    "taskbudget",
    // The request itself.
    "messages",
    "input",
    "contents",
    "prompt",
    "instructions",
    "system",
    "systeminstruction",
    "stream",
    "streamoptions",
    "tools",
    "toolchoice",
    "toolconfig",
    "functions",
    "functioncall",
    "mcpservers",
    "container",
    // Actions and storage of the provider.
    "store",
    "background",
    "conversation",
    "previousresponseid",
    "user",
    "options",
];

/// Checks that the fields are not too large for a request.
pub(crate) fn check(fields: &Map<String, Value>) -> Result<(), SpecError> {
    let bytes = serde_json::to_vec(fields).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_BYTES {
        let why = format!("has {bytes} bytes of JSON; at most {MAX_BYTES} are allowed");
        return Err(SpecError::new(FIELD, why));
    }
    Ok(())
}

/// Rejects fields that determine the limits or the price of a run: clients of the API are not the
/// operator of the server.
pub(crate) fn check_reserved(fields: &Map<String, Value>) -> Result<(), SpecError> {
    match reserved(fields) {
        Some(name) => {
            let why = format!(
                "must not set {name:?}: limits, price, model, number of answers, service tier and \
                 the request itself are the server's. Set it in an agent file, or in the \
                 settings of the provider or model"
            );
            Err(SpecError::new(FIELD, why))
        }
        None => Ok(()),
    }
}

/// The first reserved name. The depth is limited by the JSON parser: at most 128.
fn reserved(fields: &Map<String, Value>) -> Option<&str> {
    fields.iter().find_map(|(name, value)| {
        let bare = name.replace(['_', '-'], "").to_ascii_lowercase();
        if RESERVED.contains(&bare.as_str()) || value.is_null() {
            return Some(name.as_str());
        }
        within(value)
    })
}

fn within(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => reserved(fields),
        Value::Array(values) => values.iter().find_map(within),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::check_reserved;

    #[test]
    fn the_api_sets_nothing_that_limits_or_price_depend_on() {
        for (fields, name) in [
            (json!({ "max_tokens": 1 }), "max_tokens"),
            (json!({ "maxTokens": 1 }), "maxTokens"),
            (json!({ "MAX-TOKENS": 1 }), "MAX-TOKENS"),
            (json!({ "top_k": 5, "n": 100 }), "n"),
            (json!({ "service_tier": "priority" }), "service_tier"),
            (
                json!({ "generationConfig": { "candidateCount": 8 } }),
                "candidateCount",
            ),
            (json!({ "a": [{ "b": { "model": "x" } }] }), "model"),
            // Removes what is there.
            (json!({ "temperature": null }), "temperature"),
        ] {
            let error = check_reserved(fields.as_object().unwrap()).unwrap_err();
            assert!(error.why.contains(&format!("{name:?}")), "{error}");
        }
        let fields = json!({
            "top_k": 40, "repetition_penalty": 1.1, "chat_template_kwargs": { "enable_thinking": false },
        });
        assert_eq!(check_reserved(fields.as_object().unwrap()), Ok(()));
    }
}
