//! Documents that clients name instead of sending: trusted documents, which the operator has
//! approved, and automatic persisted queries, which clients register as they go (Apollo's
//! protocol).

use std::fmt::Write;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::TrustedDocuments;
use super::generations::Generations;

/// What trusted documents mean for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// There are none.
    Off,
    /// They can be named; other documents can be sent.
    On,
    /// Nothing else is executed.
    Only,
}

/// Why a request has no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PersistedError {
    /// Nothing names or carries one.
    #[error("the parameter `query` is missing")]
    Missing,
    /// The request carries one and names another.
    #[error("give `query` or `documentId`, not both")]
    Both,
    /// The name is unknown; the client sends the document next.
    #[error("PersistedQueryNotFound")]
    NotFound,
    /// Documents cannot be registered here.
    #[error("PersistedQueryNotSupported")]
    NotSupported,
    /// The document is not the one that the hash names.
    #[error("`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`")]
    Mismatch,
    /// Only trusted documents are executed.
    #[error("only trusted documents are executed here, and this is none")]
    NotTrusted,
}

impl PersistedError {
    /// `extensions.code`.
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

/// What a request says about its document.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) query: Option<&'a str>,
    /// GraphQL over HTTP, appendix on persisted documents.
    pub(crate) document_id: Option<&'a str>,
    /// `extensions.persistedQuery.sha256Hash`.
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

/// The documents that can be named.
pub struct Persisted {
    trust: Trust,
    trusted: TrustedDocuments,
    registered: Option<Generations<Arc<str>>>,
}

impl Persisted {
    /// `registered_bytes` bounds the text that clients register; 0 lets them register none.
    pub fn new(trust: Trust, trusted: TrustedDocuments, registered_bytes: usize) -> Self {
        Self {
            trust,
            trusted,
            registered: (registered_bytes > 0 && trust != Trust::Only)
                .then(|| Generations::new(registered_bytes.div_ceil(2))),
        }
    }

    /// A trusted document by its id.
    pub(crate) fn trusted(&self, id: &str) -> Option<Arc<str>> {
        self.trusted.by_id(id).cloned()
    }

    /// The text of a request's document.
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

    /// Keeps a document that came with its hash and that the guard has passed.
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
