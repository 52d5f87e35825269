//! Settings of a provider's connection, and its headers and URL.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::protocol::{Protocol, secret_header};
use talkgraph_domain::redact;

/// Headers that the client sets itself; with other values no answer could be read.
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

/// The length below which a value is not searched for in logged texts: it would match ordinary
/// words.
const MIN_SECRET_BYTES: usize = 6;

/// Additions to each call of a provider.
#[derive(Debug, Clone, Default)]
pub struct ConnectionSettings {
    /// Headers, which replace the protocol's own of the same name.
    pub headers: Vec<(String, SecretString)>,
    /// Parameters that are added to the URL.
    pub query: Vec<(String, SecretString)>,
    /// The header of the key, which replaces the protocol's own.
    pub api_key_header: Option<String>,
}

/// The reason why a provider cannot be called with these settings.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderSettingsError {
    /// An address that is not a URL. It is not repeated, since it may contain a secret.
    #[error("the base URL is not a URL: {0}")]
    NotAUrl(String),
    /// An address that is not HTTP.
    #[error("the base URL must begin with http:// or https:// and name a host")]
    NotHttp,
    /// An address with a name or password, which would be logged.
    #[error("the base URL must not contain credentials; the key has a setting of its own")]
    Credentials,
    /// A key that is not valid in a header.
    #[error("the API key contains characters that cannot be sent in a header")]
    Key,
    /// An invalid name for the key's header.
    #[error("{0}")]
    KeyHeader(String),
    /// An invalid header.
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

/// Parses a base URL.
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
    /// Adds the key and the headers of the settings.
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

    /// The values that must not be logged.
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
