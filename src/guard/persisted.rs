//! Documents that clients refer to instead of sending: trusted documents, approved by the operator,
//! and automatic persisted queries, registered by clients (Apollo's protocol).

use std::fmt::Write;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::TrustedDocuments;
use super::generations::Generations;

/// The handling of documents that are not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// There are no trusted documents.
    Off,
    /// Trusted documents are available; other documents are accepted.
    On,
    /// Only trusted documents are executed.
    Only,
}

/// The reason why a request has no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PersistedError {
    /// The request neither names nor carries a document.
    #[error("the parameter `query` is missing")]
    Missing,
    /// The request carries a document and names another.
    #[error("give `query` or `documentId`, not both")]
    Both,
    /// The name is unknown; the client sends the document next.
    #[error("PersistedQueryNotFound")]
    NotFound,
    /// Registration of documents is disabled.
    #[error("PersistedQueryNotSupported")]
    NotSupported,
    /// The document does not match its hash.
    #[error("`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`")]
    Mismatch,
    /// Only trusted documents are executed.
    #[error("the document is not trusted; this server executes trusted documents only")]
    NotTrusted,
}

impl PersistedError {
    /// Returns `extensions.code`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Missing | Self::Both => "BAD_REQUEST",
            Self::NotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::NotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::Mismatch => "BAD_USER_INPUT",
            Self::NotTrusted => "PERSISTED_QUERY_NOT_IN_LIST",
        }
    }
}

/// The document parameters of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) query: Option<&'a str>,
    /// The document id (GraphQL over HTTP, appendix on persisted documents).
    pub(crate) document_id: Option<&'a str>,
    /// The value of `extensions.persistedQuery.sha256Hash`.
    pub(crate) sha256: Option<&'a str>,
}

/// The text of a document.
pub(crate) enum Text<'a> {
    Sent(&'a str),
    Kept(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Sent(text) => text,
            Self::Kept(text) => text,
        }
    }
}

/// The documents that clients can refer to.
pub struct Persisted {
    trust: Trust,
    trusted: TrustedDocuments,
    registered: Option<Generations<Arc<str>>>,
}

impl Persisted {
    /// Creates the documents. `registered_bytes` limits the text that clients register; 0 disables
    /// registration.
    pub fn new(trust: Trust, trusted: TrustedDocuments, registered_bytes: usize) -> Self {
        Self {
            trust,
            trusted,
            registered: (registered_bytes > 0 && trust != Trust::Only)
                .then(|| Generations::new(registered_bytes.div_ceil(2))),
        }
    }

    /// Returns a trusted document by its id.
    pub(crate) fn trusted(&self, id: &str) -> Option<Arc<str>> {
        self.trusted.by_id(id).cloned()
    }

    /// Returns the text of a request's document.
    pub(crate) fn resolve<'a>(&self, asked: Asked<'a>) -> Result<Text<'a>, PersistedError> {
        let text = match asked {
            Asked {
                query: None,
                document_id: None,
                sha256: None,
            } => return Err(PersistedError::Missing),
            Asked {
                query: Some(_),
                document_id: Some(_),
                ..
            } => return Err(PersistedError::Both),
            Asked {
                query: Some(query),
                sha256,
                ..
            } => self.sent(query, sha256)?,
            Asked {
                document_id,
                sha256,
                ..
            } => Text::Kept(self.named(document_id.or(sha256).unwrap_or_default())?),
        };
        Ok(text)
    }

    fn sent<'a>(&self, query: &'a str, sha256: Option<&str>) -> Result<Text<'a>, PersistedError> {
        if self.trust == Trust::Only {
            return match self.trusted.has_text(query) {
                true => Ok(Text::Sent(query)),
                false => Err(PersistedError::NotTrusted),
            };
        }
        if let Some(expected) = sha256 {
            let named = self.trusted.by_id(expected);
            let is_named = named.is_some_and(|text| **text == *query);
            if !is_named && !expected.eq_ignore_ascii_case(&sha256_of(query)) {
                return Err(PersistedError::Mismatch);
            }
        }
        Ok(Text::Sent(query))
    }

    fn named(&self, id: &str) -> Result<Arc<str>, PersistedError> {
        if let Some(text) = self.trusted.by_id(id) {
            return Ok(Arc::clone(text));
        }
        if self.trust == Trust::Only {
            return Err(PersistedError::NotTrusted);
        }
        let registered = self.registered.as_ref();
        let registered = registered.ok_or(PersistedError::NotSupported)?;
        let hash = id.strip_prefix("sha256:").unwrap_or(id);
        let known = registered.find(&hash.to_ascii_lowercase());
        known.ok_or(PersistedError::NotFound)
    }

    /// Stores a document that matches its hash and passed the guard.
    pub(crate) fn register(&self, asked: Asked<'_>) {
        if let (Some(registered), Some(query), Some(hash)) =
            (&self.registered, asked.query, asked.sha256)
        {
            let hash = hash.to_ascii_lowercase();
            if registered.find(&hash).is_none() {
                registered.keep(hash, query.into(), query.len());
            }
        }
    }
}

fn sha256_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
