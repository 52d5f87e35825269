//! The embedded model as a provider.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;

use super::{EmbeddedError, EmbeddedModel, MODEL_NAME};
use crate::schema::{self, instruction};
use crate::wire::unsupported;
use crate::{
    ChatMessage, ChatModel, ChatRequest, ChatRole, Content, LlmError, OutputSchema, PartStream,
};

#[async_trait]
impl ChatModel for EmbeddedModel {
    fn count_tokens(&self, text: &str) -> Option<u64> {
        Some(self.count_tokens(text)? as u64)
    }

    fn sees_tools(&self) -> bool {
        false
    }

    async fn stream(&self, mut request: ChatRequest) -> Result<PartStream, LlmError> {
        if request.model != MODEL_NAME {
            return Err(LlmError::UnknownModel {
                model: format!("embedded/{}", request.model),
            });
        }
        let mut contents = request.messages.iter().flat_map(|one| &one.content);
        if let Some(Content::File { media_type, .. }) =
            contents.find(|content| matches!(content, Content::File { .. }))
        {
            return Err(unsupported("embedded", media_type));
        }
        if !request.tools.is_empty() {
            let tools = request.tools.len();
            tracing::debug!(tools, "tools left out, the embedded model calls none");
        }
        // The answer follows a grammar of the schema, which is part of the prompt as well: the
        // likeliest tokens then fit more often. The template has one system message, the first.
        if let Some(output) = request.output_schema.clone() {
            let held = schema::answer(&output.schema, &schema::embedded::ANSWER)
                .or_else(|| schema::answer(&output.schema, &schema::compatible::ANSWER));
            request.output_schema = held.map(|schema| OutputSchema {
                schema,
                ..output.clone()
            });
            let told = Content::Text(format!("\n\n{}", instruction(&output)));
            match request.messages.first_mut() {
                Some(first) if first.role == ChatRole::System => {
                    Arc::make_mut(first).content.push(told);
                }
                _ => {
                    let told = ChatMessage::system(instruction(&output));
                    request.messages.insert(0, Arc::new(told));
                }
            }
        }
        let parts = self.generate(request)?;
        let parts = stream::unfold(parts, async |mut parts| {
            let part = parts.recv().await?;
            Some((part.map_err(LlmError::from), parts))
        });
        Ok(parts.boxed())
    }
}

impl From<EmbeddedError> for LlmError {
    fn from(error: EmbeddedError) -> Self {
        match error {
            EmbeddedError::Busy { .. } => Self::Busy,
            EmbeddedError::ContextExceeded { limit, .. } => Self::ContextExceeded {
                limit: u32::try_from(limit).unwrap_or(u32::MAX).into(),
            },
            EmbeddedError::Stopped => Self::Unavailable,
            error => {
                tracing::error!(%error, "embedded model failed");
                Self::Internal
            }
        }
    }
}
