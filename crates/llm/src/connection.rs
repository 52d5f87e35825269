//! Settings of a provider's connection, and the headers and URL that they make.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::protocol::{Protocol, secret_header};
use talkgraph_domain::redact;

/// Headers that the connection itself needs; with others no answer could be read.
const OWN_HEADERS: [&str; 15] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A shorter value of a setting is not searched for in logged texts: it is part of ordinary
/// words.
const MIN_SECRET_BYTES: usize = 6;

/// What goes with each call of a provider besides its protocol's own.
#[derive(Debug, Clone, Default)]
pub struct ConnectionSettings {
    /// Headers, in place of the protocol's own of the same name.
    pub headers: Vec<(String, SecretString)>,
    /// Parameters that are added to the URL.
    pub query: Vec<(String, SecretString)>,
    /// The header that has the key, in place of the protocol's own.
    pub api_key_header: Option<String>,
}

/// Why a provider cannot be called with these settings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderSettingsError {
    /// The address cannot be read. It is not repeated: there may be a secret in it.
    #[error("the base URL is no URL: {0}")]
    NotAUrl(String),
    /// The address is of another kind.
    #[error("the base URL must begin with http:// or https:// and name a host")]
    NotHttp,
    /// The address has a name or password in it, which would end up in logs.
    #[error("the base URL must not contain credentials; the key has a setting of its own")]
    Credentials,
    /// The key cannot be sent.
    #[error("the API key contains characters that cannot be sent in a header")]
    Key,
    /// The key's header cannot be sent.
    #[error("{0}")]
    KeyHeader(String),
    /// A header cannot be sent.
    #[error("{0}")]
    Header(String),
}

impl ProviderSettingsError {
    /// The key of the setting within the provider's section.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NotAUrl(_) | Self::NotHttp | Self::Credentials => "base_url",
            Self::Key => "api_key",
            Self::KeyHeader(_) => "api_key_header",
            Self::Header(_) => "headers",
        }
    }
}

/// Reads a base URL.
pub(super) fn base_url(base: &str) -> Result<Url, ProviderSettingsError> {
    let parsed = Url::parse(base);
    let url = parsed.map_err(|error| ProviderSettingsError::NotAUrl(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ProviderSettingsError::Credentials);
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ProviderSettingsError::NotHttp);
    }
    Ok(url)
}

impl ConnectionSettings {
    /// Adds the key and the headers to those that go with every call.
    pub(super) fn add_headers(
        &self,
        headers: &mut HeaderMap,
        protocol: &dyn Protocol,
        key: Option<&SecretString>,
    ) -> Result<(), ProviderSettingsError> {
        let key = key.map(ExposeSecret::expose_secret);
        let own = key.filter(|_| self.api_key_header.is_none());
        let added = protocol.headers(headers, own);
        added.map_err(|_| ProviderSettingsError::Key)?;
        if let Some(name) = &self.api_key_header {
            let name = header_name(name).map_err(ProviderSettingsError::KeyHeader)?;
            if let Some(key) = key {
                let key = secret_header(key).map_err(|_| ProviderSettingsError::Key)?;
                headers.insert(name, key);
            }
        }
        for (name, value) in &self.headers {
            let name = header_name(name).map_err(ProviderSettingsError::Header)?;
            let value = secret_header(value.expose_secret()).map_err(|_| {
                let why = format!("the value of {name} cannot be sent in a header");
                ProviderSettingsError::Header(why)
            })?;
            headers.insert(name, value);
        }
        Ok(())
    }

    /// The URL with the parameters of the settings.
    pub(super) fn with_query(&self, mut url: Url) -> Url {
        if !self.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in &self.query {
                pairs.append_pair(name, value.expose_secret());
            }
        }
        url
    }

    /// Values that must not be logged.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.iter().chain(&self.query);
        let values = values.map(|(_, value)| value.expose_secret());
        values.filter(|value| value.len() >= MIN_SECRET_BYTES)
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let parsed: Result<HeaderName, _> = name.parse();
    let header = parsed.map_err(|_| format!("{:?} is no header", redact::name(name)))?;
    if OWN_HEADERS.contains(&header.as_str()) {
        return Err(format!(
            "{header} cannot be set: the connection needs its own"
        ));
    }
    Ok(header)
}
