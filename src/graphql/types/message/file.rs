//! Files of messages and of tool results.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::graphql::{ApiError, Code, api, charge, principal};
use talkgraph_domain::FileId;

/// A file of a message or of a tool's result.
pub(crate) struct FilePart {
    pub(super) content: Content,
    pub(super) name: Option<String>,
    pub(super) mime_type: String,
    pub(super) bytes: u64,
}

/// The location of a file's content.
pub(super) enum Content {
    /// In the database.
    Stored(FileId),
    /// In memory; the file is not stored.
    Whole(Arc<[u8]>),
}

/// A file attached to a message or returned by a tool.
#[Object]
impl FilePart {
    /// The file's name, if it has one.
    async fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The media type, such as `image/png`.
    async fn mime_type(&self) -> &str {
        &self.mime_type
    }

    /// The size of the content, in bytes.
    async fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The content in Base64, read only when selected. It counts towards the response's size limit:
    /// request large files one by one.
    async fn data(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(self.content(ctx).await.map_err(Into::into))
    }
}

impl FilePart {
    async fn content(&self, ctx: &Context<'_>) -> Result<String, ApiError> {
        // The size in Base64, charged before the content is read.
        let encoded = self.bytes.div_ceil(3).saturating_mul(4);
        charge(ctx, usize::try_from(encoded).unwrap_or(usize::MAX))?;
        let id = match &self.content {
            Content::Stored(id) => *id,
            Content::Whole(content) => return Ok(STANDARD.encode(content)),
        };
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let files = api.store.files_by_id(who, &[id]).await?;
        let gone = || ApiError::new(Code::NotFound, "file not found");
        let file = files.into_iter().next().ok_or_else(gone)?;
        Ok(STANDARD.encode(&file.content))
    }
}
