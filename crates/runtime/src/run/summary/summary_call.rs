//! Reading a summary, and what it uses.

use std::sync::Arc;

use futures_util::StreamExt;
use thiserror::Error;

use crate::run::services::RunServices;
use crate::run::usage_meter::Spending;
use talkgraph_domain::{FinishReason, MAX_SUMMARY_BYTES, Run};
use talkgraph_llm::{LlmError, StreamPart};

use crate::run::summary::request::Question;

/// Why there is no summary.
#[derive(Debug, Error)]
pub(crate) enum NoSummary {
    #[error(transparent)]
    Llm(#[from] LlmError),
    #[error("the model has written nothing")]
    Empty,
    #[error("the provider withheld it")]
    Withheld,
}

/// A summary being made.
pub(crate) struct Made {
    pub(crate) spending: Spending,
    /// `provider/model` that answers.
    pub(crate) model: Option<String>,
    pub(crate) finish_reason: Option<FinishReason>,
}

impl Made {
    pub(crate) fn new(run: &Run) -> Self {
        Self {
            spending: Spending::new(run),
            model: None,
            finish_reason: None,
        }
    }

    /// Asks the models and reads the answer. What that uses is counted as it is told, so that
    /// it stays counted if nobody waits for the rest.
    pub(crate) async fn ask(
        &mut self,
        services: &Arc<RunServices>,
        models: &[String],
        question: &Question,
        run: &mut Run,
    ) -> Result<String, NoSummary> {
        let mut answering = services.models.stream(models, question).await?;
        let price = services.models.price(&answering.model);
        self.spending.at(price, run);
        self.model = Some(answering.model);
        let mut text = String::new();
        while let Some(part) = answering.parts.next().await {
            match part? {
                // What is longer is read all the same: the usage comes last.
                StreamPart::Text(more) if text.len() < MAX_SUMMARY_BYTES => text.push_str(&more),
                StreamPart::TextWasReasoning => text.clear(),
                StreamPart::Usage(usage) => self.spending.tell(usage, run),
                StreamPart::UsageUnknown => self.spending.forget(run),
                StreamPart::Finish(reason) => self.finish_reason = Some(reason),
                _ => {}
            }
        }
        match self.finish_reason {
            // What is missing may be what matters.
            Some(FinishReason::ContentFilter) => Err(NoSummary::Withheld),
            _ => stored(&text).ok_or(NoSummary::Empty),
        }
    }
}

/// A text as every database can keep it.
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
