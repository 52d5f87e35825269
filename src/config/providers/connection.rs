//! Settings of a provider's connection: its protocol, headers, parameters and endpoint.

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{ProviderEntry, ProviderKind, ProviderSettings};
use crate::config::environment::Variables;
use crate::config::{ConfigError, SecretSetting};
use talkgraph_domain::redact;

/// The most headers, and the most parameters, of a provider.
const MAX_PAIRS: usize = 32;

/// The protocol of `[models.openai]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpenAiProtocol {
    /// OpenAI's Responses.
    Responses,
    /// Chat Completions.
    ChatCompletions,
}

/// The paths of the endpoints, which users copy into `base_url`.
const ENDPOINTS: [(&str, ProviderKind); 3] = [
    ("/chat/completions", ProviderKind::OpenAi),
    ("/responses", ProviderKind::OpenAiResponses),
    ("/messages", ProviderKind::Anthropic),
];

/// The methods at the end of a Gemini URL.
const GEMINI_METHODS: [&str; 2] = [":streamGenerateContent", ":generateContent"];

/// The base of a provider's URL, without the path of an endpoint, and the endpoint's kind. The
/// query stays.
pub(super) fn base_of(url: &str) -> (String, Option<ProviderKind>) {
    let (path, query) = match url.find(['?', '#']) {
        Some(at) => url.split_at(at),
        None => (url, ""),
    };
    let path = path.trim_end_matches('/');
    for (endpoint, kind) in ENDPOINTS {
        if let Some(base) = path.strip_suffix(endpoint) {
            return (format!("{base}{query}"), Some(kind));
        }
    }
    let method = GEMINI_METHODS.iter().find(|method| path.ends_with(*method));
    if let Some((base, _)) = method.and_then(|_| path.rsplit_once("/models/")) {
        return (format!("{base}{query}"), Some(ProviderKind::Gemini));
    }
    (url.to_owned(), None)
}

/// True if a URL is of OpenAI itself, in any of its regions: `api.openai.com`,
/// `eu.api.openai.com` (<https://developers.openai.com/api/docs/guides/data-residency>).
fn is_openai(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#', ':']).next());
    host.is_some_and(|host| {
        let host = host.to_ascii_lowercase();
        host == "api.openai.com" || host.ends_with(".api.openai.com")
    })
}

/// The kind of `[models.openai]`: as set, else that of the endpoint in its URL, else Responses
/// for OpenAI itself and Chat Completions for all others, which often have nothing else.
pub(super) fn openai_kind(settings: &ProviderSettings) -> ProviderKind {
    let url = settings.base_url.expose();
    match (settings.protocol, base_of(url).1) {
        (Some(OpenAiProtocol::Responses), _) => ProviderKind::OpenAiResponses,
        (Some(OpenAiProtocol::ChatCompletions), _) => ProviderKind::OpenAi,
        (None, Some(kind @ (ProviderKind::OpenAi | ProviderKind::OpenAiResponses))) => kind,
        (None, _) if is_openai(url) => ProviderKind::OpenAiResponses,
        (None, _) => ProviderKind::OpenAi,
    }
}

/// Replaces names of environment variables with their values.
pub(super) fn resolve<'a>(
    section: &str,
    pairs: impl Iterator<Item = (&'static str, &'a mut SecretSetting)>,
    variables: &Variables,
) -> Result<(), ConfigError> {
    for (key, secret) in pairs {
        let SecretSetting::Environment { env } = secret else {
            continue;
        };
        let missing = || {
            let why = format!("the variable {} is not set", redact::name(env));
            ConfigError::invalid(format!("{section}.{key}"), why)
        };
        let value = variables.get(env)?.ok_or_else(missing)?;
        *secret = SecretSetting::Value(value.trim().to_owned().into());
    }
    Ok(())
}

impl ProviderEntry {
    /// Refuses settings of the connection that contradict each other.
    pub(super) fn check_connection(&self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        if settings.protocol.is_some() && self.section != "models.openai" {
            return self.refuse("protocol", "is for models.openai alone");
        }
        if settings.stream_options.is_some() && self.kind != ProviderKind::OpenAi {
            return self.refuse("stream_options", "is for Chat Completions alone");
        }
        for (key, pairs) in [("headers", &settings.headers), ("query", &settings.query)] {
            if pairs.len() > MAX_PAIRS {
                let why = format!("{} are too many: at most {MAX_PAIRS}", pairs.len());
                return self.refuse(key, &why);
            }
        }
        let (_, endpoint) = base_of(settings.base_url.expose());
        match endpoint.filter(|endpoint| *endpoint != self.kind) {
            Some(endpoint) => {
                let why = format!(
                    "ends in the path of {}, but the provider is of kind {}",
                    endpoint.name(),
                    self.kind.name()
                );
                self.refuse("base_url", &why)
            }
            None => Ok(()),
        }
    }

    /// True if the operator has configured it: it has a name, a key, a header, or an address of
    /// its own.
    pub(crate) fn is_configured(&self) -> bool {
        let usual_url = match self.kind {
            ProviderKind::OpenAi | ProviderKind::OpenAiResponses => "https://api.openai.com/v1",
            ProviderKind::Anthropic => "https://api.anthropic.com/v1",
            ProviderKind::Gemini => "https://generativelanguage.googleapis.com/v1beta",
        };
        let settings = &self.settings;
        let keys = settings.api_key.iter().chain(&settings.api_keys);
        self.is_named
            || keys.into_iter().any(|key| !key.expose_secret().is_empty())
            || !settings.headers.is_empty()
            || self.base_url().trim_end_matches('/') != usual_url
    }

    /// The base of its URL, without the path of an endpoint.
    pub(crate) fn base_url(&self) -> String {
        base_of(self.settings.base_url.expose()).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_at_the_end_of_a_url_is_no_part_of_its_base() {
        use ProviderKind::{Anthropic, Gemini, OpenAi, OpenAiResponses};
        for (url, base, kind) in [
            ("http://h/v1", "http://h/v1", None),
            ("http://h/v1/", "http://h/v1/", None),
            ("http://h/v1/chat/completions", "http://h/v1", Some(OpenAi)),
            ("http://h/v1/chat/completions/", "http://h/v1", Some(OpenAi)),
            (
                "https://h/openai/deployments/gpt/chat/completions?api-version=1",
                "https://h/openai/deployments/gpt?api-version=1",
                Some(OpenAi),
            ),
            (
                "http://h/v1/responses",
                "http://h/v1",
                Some(OpenAiResponses),
            ),
            (
                "http://h/v1/messages?a=/x",
                "http://h/v1?a=/x",
                Some(Anthropic),
            ),
            (
                "http://h/v1beta/models/gemini-x:streamGenerateContent?alt=sse",
                "http://h/v1beta?alt=sse",
                Some(Gemini),
            ),
            (
                "http://h/v1beta/models/x:generateContent",
                "http://h/v1beta",
                Some(Gemini),
            ),
            ("http://h/my-responses", "http://h/my-responses", None),
        ] {
            assert_eq!(base_of(url), (base.to_owned(), kind), "{url}");
        }
    }

    #[test]
    fn openai_is_known_in_every_region() {
        for (url, is) in [
            ("https://api.openai.com/v1", true),
            ("https://eu.api.openai.com/v1", true),
            ("https://API.openai.com:443/v1", true),
            ("https://api.openai.com.example/v1", false),
            ("https://myapi.openai.com/v1", false),
            ("https://x.openai.azure.com/openai", false),
            ("http://127.0.0.1/api.openai.com", false),
        ] {
            assert_eq!(is_openai(url), is, "{url}");
        }
    }
}
