//! Manifests of trusted documents, written by the clients' build tools.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde::Deserialize;
use thiserror::Error;

use super::{Guard, GuardError};

/// Documents approved by the operator, by id.
#[derive(Debug, Clone, Default)]
pub struct TrustedDocuments {
    by_id: HashMap<String, Arc<str>>,
    texts: HashSet<Arc<str>>,
}

/// The reason why a manifest is unusable.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The manifest cannot be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The I/O error.
        error: io::Error,
    },
    /// The manifest is in neither of the two formats.
    #[error(
        "{file}: neither a persisted-documents.json of GraphQL Code Generator (an object of \
         documents by hash) nor an Apollo persisted query manifest of version 1: {why}"
    )]
    Format {
        /// The file.
        file: PathBuf,
        /// The error message.
        why: String,
    },
    /// Two documents have one id.
    #[error("{file}: duplicate document id {id:?}")]
    Duplicate {
        /// The file.
        file: PathBuf,
        /// The id.
        id: String,
    },
    /// A document is not executable by any client.
    #[error("document {id:?}: {error}")]
    Document {
        /// The id.
        id: String,
        /// The error.
        error: GuardError,
    },
}

/// The maximum size of a manifest, in bytes.
const MANIFEST_BYTES: u64 = 64 * 1024 * 1024;

const APOLLO_FORMAT: &str = "apollo-persisted-query-manifest";

#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    /// The format of `generate-persisted-query-manifest` (Apollo).
    Apollo {
        format: String,
        version: u32,
        operations: Vec<Operation>,
    },
    /// The format of `persistedDocuments` of the client preset (GraphQL Code Generator), also used
    /// by Relay.
    ByHash(HashMap<String, String>),
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

impl TrustedDocuments {
    /// Reads a manifest, or all `.json` files of a folder.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let unreadable = |error| ManifestError::Unreadable {
            file: path.to_owned(),
            error,
        };
        let mut files = vec![path.to_owned()];
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(unreadable)?;
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            files = paths.collect::<Result<_, _>>().map_err(unreadable)?;
            files.retain(|file| file.extension().is_some_and(|end| end == "json"));
        }
        let mut all = Self::default();
        for file in files {
            all.add(&file)?;
        }
        Ok(all)
    }

    fn add(&mut self, file: &Path) -> Result<(), ManifestError> {
        let text = read_bounded(file).map_err(|error| ManifestError::Unreadable {
            file: file.to_owned(),
            error,
        })?;
        for (id, document) in parse(&text).map_err(|why| ManifestError::Format {
            file: file.to_owned(),
            why,
        })? {
            let document: Arc<str> = document.into();
            let known = self.by_id.insert(id.clone(), Arc::clone(&document));
            if known.is_some_and(|known| known != document) {
                let file = file.to_owned();
                return Err(ManifestError::Duplicate { file, id });
            }
            self.texts.insert(document);
        }
        Ok(())
    }

    /// Rejects documents that the guard would refuse on request.
    pub fn check(&self, guard: &Guard) -> Result<(), ManifestError> {
        for (id, document) in &self.by_id {
            guard
                .read(document)
                .map_err(|error| ManifestError::Document {
                    id: id.clone(),
                    error,
                })?;
        }
        Ok(())
    }

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns true if there are no documents.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Arc<str>> {
        let bare = || self.by_id.get(id.strip_prefix("sha256:")?);
        self.by_id.get(id).or_else(bare)
    }

    pub(super) fn has_text(&self, text: &str) -> bool {
        self.texts.contains(text)
    }
}

fn read_bounded(file: &Path) -> io::Result<String> {
    if fs::metadata(file)?.len() > MANIFEST_BYTES {
        let why = format!("larger than {MANIFEST_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    fs::read_to_string(file)
}

fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Manifest::Apollo {
            format, version, ..
        } if format != APOLLO_FORMAT || version != 1 => {
            Err(format!("it is {format:?}, version {version}"))
        }
        Manifest::Apollo { operations, .. } => {
            let documents = operations.into_iter();
            Ok(documents
                .map(|operation| (operation.id, operation.body))
                .collect())
        }
        Manifest::ByHash(documents) => Ok(documents.into_iter().collect()),
    }
}
