//! Messages with which servers refuse a parameter.

/// Phrases of refusals, in lower case.
const PHRASES: [&str; 22] = [
    // OpenAI: "Unsupported parameter: 'temperature' is not supported with this model."
    "unsupported",
    "not supported",
    // OpenAI: "Unsupported value: 'temperature' does not support 0.3 with this model."
    "does not support",
    // LiteLLM: "gpt-5 models don't support temperature=0.3."
    "don't support",
    "doesn't support",
    "do not support",
    "no longer supported",
    // OpenAI and Azure: "Unrecognized request argument supplied: stream_options"
    "unrecognized",
    "unknown parameter",
    // Gemini: "Invalid JSON payload received. Unknown name \"seed\" at 'generation_config'"
    "unknown name",
    // Servers in Rust and Go: "unknown field `stream_options`"
    "unknown field",
    "unknown argument",
    // Anthropic, Mistral, vLLM: "Extra inputs are not permitted", type extra_forbidden
    "inputs are not permitted",
    "extra_forbidden",
    "fields not permitted",
    // Anthropic: "`temperature` is deprecated for this model."
    "is deprecated",
    "are deprecated",
    // Groq: "property 'reasoning_content' is unsupported" is covered by the first.
    "is not permitted",
    "is not allowed",
    "unexpected keyword argument",
    "only the default",
    // Anthropic: "`temperature` and `top_p` cannot both be specified for this model."
    "cannot both be",
];

/// Parameters that are not ordinary words, so that they are recognised without quotes.
const SELF_NAMES: [&str; 3] = ["temperature", "verbosity", "seed"];

/// Returns true if a text refuses a part of the request.
pub(super) fn refuses(message: &str) -> bool {
    let message = message.to_lowercase();
    PHRASES.iter().any(|phrase| message.contains(phrase))
}

/// Returns true if a text states that two parameters exclude each other.
pub(super) fn excludes(message: &str) -> bool {
    message.to_lowercase().contains("cannot both be")
}

/// The words of a text that may be the name of a parameter: quoted, or in the form of a name.
pub(super) fn names(message: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
    let mut end = 0;
    std::iter::from_fn(move || {
        let rest = message.get(end..)?;
        let start = end + rest.find(part)?;
        let rest = message.get(start..)?;
        end = start + rest.find(|c| !part(c)).unwrap_or(rest.len());
        let quoted = message[..start].ends_with(['\'', '"', '`']);
        Some((quoted, message.get(start..end)?))
    })
    .filter_map(|(quoted, word)| {
        let word = word.trim_matches(['.', '[', ']']);
        let is_camel = word.chars().skip(1).any(|c| c.is_ascii_uppercase());
        let is_name = quoted || word.contains('_') || is_camel || SELF_NAMES.contains(&word);
        is_name.then_some(word)
    })
}
