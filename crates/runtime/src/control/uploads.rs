//! Files as clients send them: whole, or by their URL.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use crate::control::start_error::StartError;
use crate::spec::catalog::Catalog;
use talkgraph_domain::{Agent, File, FileId, Principal};
use talkgraph_llm::Models;
use talkgraph_store::SharedStore;
use talkgraph_tools::{FileFetch, ToolError};

use crate::run::files::mime::mime_type;

/// A file that a client sends with a message.
#[derive(Debug, Clone)]
pub enum SentFile {
    /// Its content came with the request.
    Whole(File),
    /// The server has to fetch it.
    At(FileLink),
}

/// The location of a file.
#[derive(Debug, Clone)]
pub struct FileLink {
    /// Its URL, of any scheme: the guard says which may be reached.
    pub url: Url,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its media type according to the client.
    pub mime_type: Option<String>,
}

/// The files of a message, all of them whole.
pub(crate) struct WholeFiles {
    pub(crate) files: Vec<File>,
    /// Given back once they are stored.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// Reads and stores the files of messages.
pub(crate) struct Uploads {
    pub(crate) store: SharedStore,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) models: Models,
    /// Fetches files by their URLs; none where the settings forbid it.
    pub(crate) fetch: Option<FileFetch>,
}

impl Uploads {
    /// Refuses a file that no model of the agent takes.
    pub(crate) fn check(&self, agent: &Agent, files: &[File]) -> Result<(), StartError> {
        let models = self.catalog.models_of(&agent.current.spec);
        let refused = files.iter().position(|file| {
            let takes = |model: &String| self.models.takes_file(model, &file.mime_type);
            !models.iter().any(takes)
        });
        match refused.and_then(|at| Some((at, files.get(at)?))) {
            None => Ok(()),
            Some((at, file)) => Err(StartError::FileNotTaken {
                at,
                mime_type: file.mime_type.clone(),
                agent: agent.name.clone(),
            }),
        }
    }

    /// Stores the files of a message that is about to be stored.
    pub(crate) async fn keep(&self, who: &Principal, files: &[File]) -> Result<(), StartError> {
        if files.is_empty() {
            return Ok(());
        }
        let kept = self.store.save_files(who, files).await;
        kept.map_err(StartError::Store)
    }

    /// Removes the files of a message that was not stored.
    pub(crate) async fn discard(&self, who: &Principal, files: &[File]) {
        if files.is_empty() {
            return;
        }
        let ids: Vec<_> = files.iter().map(|file| file.id).collect();
        if let Err(error) = self.store.delete_files(who, &ids).await {
            tracing::warn!(%error, count = ids.len(), "files of no message stay in the database");
        }
    }

    /// Reads the files of a message; those sent by URL are fetched.
    pub(crate) async fn read(&self, sent: &[SentFile]) -> Result<WholeFiles, StartError> {
        let first = sent.iter().position(|file| matches!(file, SentFile::At(_)));
        let Some(first) = first else {
            let whole = sent.iter().filter_map(|file| match file {
                SentFile::Whole(file) => Some(file.clone()),
                SentFile::At(_) => None,
            });
            return Ok(WholeFiles {
                files: whole.collect(),
                place: None,
            });
        };
        let Some(fetch) = &self.fetch else {
            let why = "this server fetches no files; send its content as `data`";
            return Err(wrong(first, "url", why));
        };
        // Whatever was being fetched then.
        let mut at = first;
        let timeout = fetch.timeout();
        let fetched = tokio::time::timeout(timeout, fetch_all(fetch, sent, &mut at)).await;
        fetched.unwrap_or_else(|_| {
            let why = format!(
                "the message's files took longer than {} s",
                timeout.as_secs_f32()
            );
            Err(wrong(at, "url", why))
        })
    }
}

async fn fetch_all(
    fetch: &FileFetch,
    sent: &[SentFile],
    current: &mut usize,
) -> Result<WholeFiles, StartError> {
    let place = fetch.place().await;
    let mut files = Vec::with_capacity(sent.len());
    for (at, file) in sent.iter().enumerate() {
        files.push(match file {
            SentFile::Whole(file) => file.clone(),
            SentFile::At(link) => {
                *current = at;
                fetched(fetch, link, at).await?
            }
        });
    }
    Ok(WholeFiles { files, place })
}

async fn fetched(fetch: &FileFetch, link: &FileLink, at: usize) -> Result<File, StartError> {
    let fetched = fetch.get(link.url.clone()).await.map_err(|error| {
        match &error {
            // Without the URL, which may have secrets.
            ToolError::Unreachable { cause, .. } | ToolError::Internal { cause } => {
                tracing::info!(%cause, "a file of a message could not be fetched");
            }
            error => tracing::debug!(%error, "a file of a message could not be fetched"),
        }
        wrong(at, "url", format!("the file cannot be fetched: {error}"))
    })?;
    let content = fetched.content;
    let found = match &link.mime_type {
        Some(claimed) => mime_type(Some(claimed), &content),
        // What its server says is worth as much as the content agrees with it.
        None => mime_type(fetched.content_type.as_deref(), &content)
            .or_else(|_| mime_type(None, &content)),
    };
    Ok(File {
        id: FileId::new(),
        name: link.name.clone(),
        mime_type: found.map_err(|why| wrong(at, "mimeType", why))?,
        content: content.into(),
    })
}

fn wrong(at: usize, part: &'static str, why: impl Into<String>) -> StartError {
    let why = why.into();
    StartError::File { at, part, why }
}
