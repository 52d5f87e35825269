//! Normalisation of model names: servers and gateways offer one model under several.

/// Prefixes that Bedrock puts before a vendor's name.
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html>
const REGIONS: [&str; 8] = ["us", "us-gov", "eu", "apac", "global", "jp", "au", "ca"];

/// Vendors that Bedrock and others put before a model's name, with a dot.
const VENDORS: [&str; 10] = [
    "anthropic",
    "openai",
    "google",
    "mistral",
    "deepseek",
    "xai",
    "meta",
    "qwen",
    "moonshotai",
    "amazon",
];

/// A normalised model name: in lower case, without the prefixes of gateways (`openai/gpt-5.6`,
/// `us.anthropic.claude-…`, `models/gemini-3…`, `ft:gpt-…`), and with `-` for every other
/// separator.
pub(super) fn own(model: &str) -> String {
    let name = model.to_ascii_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let without = |name: &str, prefixes: &[&str]| -> Option<String> {
        let (first, rest) = name.split_once('.')?;
        prefixes.contains(&first).then(|| rest.to_owned())
    };
    let name = without(name, &REGIONS).unwrap_or_else(|| name.to_owned());
    let name = without(&name, &VENDORS).unwrap_or(name);
    // A gateway's own mark, such as OpenRouter's "~anthropic/claude-…-latest".
    name.trim_start_matches('~')
        .replace(['.', '@', ':', '_'], "-")
}

/// Returns true if a name begins with a pattern, up to one of its dashes. `*` matches any
/// characters, and `$` the end of the name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.replace('.', "-");
    begins(pattern.as_bytes(), name.as_bytes())
}

fn begins(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.first().is_none_or(|next| *next == b'-'),
        Some((b'$', _)) => name.is_empty(),
        Some((b'*', rest)) => {
            (0..=name.len()).any(|at| begins(rest, name.get(at..).unwrap_or(&[])))
        }
        Some((first, rest)) => name
            .split_first()
            .is_some_and(|(next, name)| next == first && begins(rest, name)),
    }
}

/// Returns true if a host is the pattern, or a subdomain of it where that begins with `*.`.
pub(super) fn is_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => host == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_host, matches, own};

    #[test]
    fn gateways_prefixes_are_not_a_models_own_name() {
        for (model, name) in [
            ("gpt-5.6-luna", "gpt-5-6-luna"),
            ("openai/gpt-5.6", "gpt-5-6"),
            ("openrouter/openai/GPT-5.6:free", "gpt-5-6-free"),
            ("us.anthropic.claude-opus-5-5-v1:0", "claude-opus-5-5-v1-0"),
            ("anthropic.claude-haiku-5-5", "claude-haiku-5-5"),
            ("claude-haiku-4-5@20251001", "claude-haiku-4-5-20251001"),
            ("anthropic/claude-opus-5.5", "claude-opus-5-5"),
            ("models/gemini-3.5-flash", "gemini-3-5-flash"),
            (
                "publishers/google/models/gemini-3.1-pro-preview",
                "gemini-3-1-pro-preview",
            ),
            (
                "accounts/fireworks/models/deepseek-v4-pro",
                "deepseek-v4-pro",
            ),
            (
                "ft:gpt-4.1-mini-2025-04-14:acme::id",
                "gpt-4-1-mini-2025-04-14-acme--id",
            ),
            ("", ""),
        ] {
            assert_eq!(own(model), name, "{model}");
        }
    }

    #[test]
    fn pattern_matches_whole_segments_of_a_name() {
        for (pattern, model, is_match) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini-2025-08-07", true),
            ("gpt-5.2", "gpt-5-2025-08-07", false),
            ("gpt-5.2", "gpt-5.2-2025-12-11", true),
            ("gpt-5", "gpt-50", false),
            ("gpt-5*-chat", "gpt-5.3-chat-latest", true),
            ("gpt-5*-chat", "gpt-5.3-mini", false),
            ("claude", "claude-sonnet-6", true),
            ("o3", "o3-mini", true),
            ("o3", "open-mistral", false),
            ("*", "anything", true),
            ("gpt-5$", "openai/gpt-5", true),
            ("gpt-5$", "gpt-5-mini", false),
        ] {
            assert_eq!(matches(pattern, &own(model)), is_match, "{pattern} {model}");
        }
    }

    #[test]
    fn hosts_below_a_pattern_are_matched() {
        assert!(is_host("*.openai.azure.com", "acme.openai.azure.com"));
        assert!(!is_host("*.openai.azure.com", ".openai.azure.com"));
        assert!(!is_host(
            "*.openai.azure.com",
            "openai.azure.com.evil.example"
        ));
        assert!(is_host("api.openai.com", "api.openai.com"));
        assert!(!is_host("api.openai.com", "eu.api.openai.com"));
    }
}
