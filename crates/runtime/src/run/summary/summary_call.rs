//! The model call that writes a summary.

use std::sync::Arc;

use futures_util::StreamExt;
use thiserror::Error;

use crate::run::services::RunServices;
use crate::run::usage_meter::UsageMeter;
use talkgraph_domain::{FinishReason, MAX_SUMMARY_BYTES, Run};
use talkgraph_llm::{LlmError, StreamPart};

use crate::run::summary::request::SummaryRequest;

/// The reason for which there is no summary.
#[derive(Debug, Error)]
pub(crate) enum SummaryError {
    #[error(transparent)]
    Llm(#[from] LlmError),
    #[error("the model has written nothing")]
    Empty,
    #[error("the provider withheld it")]
    Withheld,
}

/// A model call that writes a summary.
pub(crate) struct SummaryCall {
    pub(crate) usage_meter: UsageMeter,
    /// The `provider/model` that answers.
    pub(crate) model: Option<String>,
    pub(crate) finish_reason: Option<FinishReason>,
}

impl SummaryCall {
    pub(crate) fn new(run: &Run) -> Self {
        Self {
            usage_meter: UsageMeter::new(run),
            model: None,
            finish_reason: None,
        }
    }

    /// Calls the models and reads the answer. Usage is counted as it is reported, so that it stays
    /// counted if the call is dropped.
    pub(crate) async fn ask(
        &mut self,
        services: &Arc<RunServices>,
        models: &[String],
        request: &SummaryRequest,
        run: &mut Run,
    ) -> Result<String, SummaryError> {
        let mut answering = services.models.stream(models, request).await?;
        let price = services.models.price(&answering.model);
        self.usage_meter.set_price(price, run);
        self.model = Some(answering.model);
        let mut text = String::new();
        while let Some(part) = answering.parts.next().await {
            match part? {
                // The rest is read all the same: the usage comes last.
                StreamPart::Text(more) if text.len() < MAX_SUMMARY_BYTES => text.push_str(&more),
                StreamPart::TextWasReasoning => text.clear(),
                StreamPart::Usage(usage) => self.usage_meter.report(usage, run),
                StreamPart::UsageUnknown => self.usage_meter.discard(run),
                StreamPart::Finish(reason) => self.finish_reason = Some(reason),
                _ => {}
            }
        }
        match self.finish_reason {
            // The missing part may be the important one.
            Some(FinishReason::ContentFilter) => Err(SummaryError::Withheld),
            _ => stored(&text).ok_or(SummaryError::Empty),
        }
    }
}

/// Cleans a text so that every database can store it.
fn stored(text: &str) -> Option<String> {
    let mut text = text.replace('\0', "");
    text.truncate(text.floor_char_boundary(MAX_SUMMARY_BYTES));
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_its_bounds() {
        assert_eq!(stored(" \n\0 "), None);
        assert_eq!(stored(" a\0b\n").as_deref(), Some("ab"));
        let long = "ä".repeat(MAX_SUMMARY_BYTES);
        assert_eq!(
            stored(&format!("x{long}")).unwrap().len(),
            MAX_SUMMARY_BYTES - 1
        );
    }
}
