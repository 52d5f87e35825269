//! The approval policies of tools.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use talkgraph_domain::Principal;
use talkgraph_evaluation::Evaluator;

/// The calls of a tool that a person has to approve before they are executed.
#[derive(Clone)]
pub enum Approval {
    /// No calls.
    Never,
    /// All calls.
    Always,
    /// The calls whose arguments make this minijinja expression over `args` true, such as
    /// `args.amount > 100`.
    When(Arc<Condition>),
}

/// An expression over the arguments.
pub struct Condition {
    source: String,
    evaluator: Evaluator,
}

/// The kind of an [`Approval`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalPolicy {
    /// No call requires approval.
    Never,
    /// Every call requires approval.
    Always,
    /// The arguments decide.
    Conditional,
}

/// An expression that cannot be parsed.
#[derive(Debug, Error)]
#[error(
    "must be \"always\", \"never\" or an expression over args such as \"args.amount > 100\": {0}"
)]
pub struct ApprovalError(String);

impl Approval {
    /// Reads `always`, `never` or an expression.
    pub async fn parse(evaluator: &Evaluator, text: &str) -> Result<Self, ApprovalError> {
        match text.trim() {
            "never" => return Ok(Self::Never),
            "always" => return Ok(Self::Always),
            _ => {}
        }
        let checked = evaluator.check_expression(text).await;
        checked.map_err(|error| ApprovalError(error.to_string()))?;
        Ok(Self::When(Arc::new(Condition {
            source: text.to_owned(),
            evaluator: evaluator.clone(),
        })))
    }

    /// Returns true if a call with these arguments requires approval. So does one for which the
    /// expression cannot be evaluated, because an argument is missing or it is too costly.
    pub async fn is_needed(&self, who: &Principal, arguments: &Value) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::When(condition) => condition.holds(who, arguments).await,
        }
    }

    /// The kind of this approval.
    pub fn policy(&self) -> ApprovalPolicy {
        match self {
            Self::Never => ApprovalPolicy::Never,
            Self::Always => ApprovalPolicy::Always,
            Self::When(_) => ApprovalPolicy::Conditional,
        }
    }
}

impl Condition {
    async fn holds(&self, who: &Principal, arguments: &Value) -> bool {
        match self.evaluator.holds(who, &self.source, arguments).await {
            Ok(holds) => holds,
            Err(error) => {
                let approval = &self.source;
                tracing::debug!(approval, %error, "approval expression failed, approval required");
                true
            }
        }
    }
}

impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::Always => "always",
            Self::When(condition) => &condition.source,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_arguments_decide() {
        let cases = [
            ("never", json!({}), false),
            ("always", json!({}), true),
            ("args.amount > 100", json!({ "amount": 100 }), false),
            ("args.amount > 100", json!({ "amount": 100.5 }), true),
            (
                "args.to is endingwith '@example.com'",
                json!({ "to": "a@example.com" }),
                true,
            ),
            (
                "args.kind in ['delete', 'drop']",
                json!({ "kind": "list" }),
                false,
            ),
            (
                "args.dry_run is not defined or not args.dry_run",
                json!({}),
                true,
            ),
            // An expression that cannot be evaluated requires approval.
            ("args.amount > 100", json!({}), true),
            ("args.a.b.c", json!({ "a": 1 }), true),
        ];
        for (text, arguments, needed) in cases {
            let evaluator = Evaluator::in_process();
            let approval = Approval::parse(&evaluator, text).await.unwrap();
            let who = Principal::development();
            let is_needed = approval.is_needed(&who, &arguments).await;
            assert_eq!(is_needed, needed, "{text} {arguments}");
        }
    }

    #[tokio::test]
    async fn invalid_policy_is_refused() {
        for text in ["", "sometimes", "args.", "amount > 100", "{{ args.x }}"] {
            let error = Approval::parse(&Evaluator::in_process(), text)
                .await
                .unwrap_err()
                .to_string();
            assert!(error.contains("always"), "{text}: {error}");
        }
    }
}
