//! Files that a user references by URL.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::ToolError;
use crate::egress::{Body, BodyLimits, EgressClient};

/// The number of messages whose files may be fetched at once: all of them are in memory until they
/// are stored. Others wait, within their own time limit.
const MESSAGES_AT_ONCE: usize = 8;

/// Fetches files, behind the egress guard.
pub struct FileFetch {
    client: EgressClient,
    most_bytes: usize,
    timeout: Duration,
    places: Arc<Semaphore>,
}

/// A fetched file.
pub struct Fetched {
    /// The media type that its server reports, without parameters, in lower case.
    pub content_type: Option<String>,
    /// Its bytes, decompressed.
    pub content: Vec<u8>,
}

impl FileFetch {
    /// Reads files of at most so many bytes, those of a message within `timeout`.
    pub fn new(client: EgressClient, most_bytes: usize, timeout: Duration) -> Self {
        Self {
            client,
            most_bytes,
            timeout,
            places: Arc::new(Semaphore::new(MESSAGES_AT_ONCE)),
        }
    }

    /// The time limit for all files of a message.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for a slot; kept until the files are stored.
    pub async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Gets a file.
    ///
    /// # Errors
    /// When the URL may not be reached, its server does not give a file, or one that is empty or
    /// too large.
    pub async fn get(&self, url: Url) -> Result<Fetched, ToolError> {
        let response = super::get(&self.client, url, "*/*").await?;
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next());
        let content_type = essence.map(|essence| essence.trim().to_ascii_lowercase());
        let limits = BodyLimits {
            bytes: self.most_bytes,
            decoded_bytes: self.most_bytes,
        };
        let body = Body::read(response, limits).await?;
        let most = self.most_bytes;
        if body.cut {
            return Err(ToolError::Failed(format!("it has more than {most} bytes")));
        }
        let content = body.into_bytes();
        if content.is_empty() {
            return Err(ToolError::Failed("it is empty".to_owned()));
        }
        Ok(Fetched {
            content_type,
            content,
        })
    }
}
