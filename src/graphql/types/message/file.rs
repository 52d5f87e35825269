//! Files of messages.

use async_graphql::{Context, Object, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::FileId;
use crate::graphql::{ApiError, Code, FileReads, api, principal};

/// A file that came with a message.
pub(crate) struct FilePart {
    pub(super) id: FileId,
    pub(super) name: Option<String>,
    pub(super) mime_type: String,
    pub(super) bytes: u64,
}

/// A file that came with a message.
#[Object]
impl FilePart {
    /// Its name, if it has one.
    async fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it is, such as `image/png`.
    async fn mime_type(&self) -> &str {
        &self.mime_type
    }

    /// How long its content is.
    async fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its content in Base64, read only where this is selected. One request may read 32 MiB of
    /// files; more is LIMIT_EXCEEDED.
    async fn data(&self, ctx: &Context<'_>) -> Option<Result<String>> {
        Some(self.content(ctx).await.map_err(Into::into))
    }
}

impl FilePart {
    async fn content(&self, ctx: &Context<'_>) -> Result<String, ApiError> {
        let reads = ctx.data_opt::<FileReads>();
        if !reads.is_some_and(|reads| reads.take(self.bytes)) {
            let why = "one request may not read so many files; ask for them one by one";
            return Err(ApiError::new(Code::LimitExceeded, why));
        }
        let (api, who) = (api(ctx)?, principal(ctx)?);
        let files = api.store.files_by_id(who, &[self.id]).await?;
        let gone = || ApiError::new(Code::NotFound, "the file is gone");
        let file = files.into_iter().next().ok_or_else(gone)?;
        Ok(STANDARD.encode(&file.content))
    }
}
