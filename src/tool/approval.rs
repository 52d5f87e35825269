//! Which calls a person has to approve.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::Serde;
use minijinja::{Environment, Expression, UndefinedBehavior, context};
use serde_json::Value;
use thiserror::Error;

/// An expression may not run for long: it is configuration, not a program.
const EXPRESSION_FUEL: u64 = 20_000;

static EXPRESSIONS: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // What is misspelt must not silently mean "no approval".
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(EXPRESSION_FUEL));
    environment
});

/// Which calls of a tool a person has to approve before they are made.
#[derive(Clone)]
pub enum Approval {
    /// None.
    Never,
    /// Each.
    Always,
    /// Those whose arguments make this minijinja expression over `args` true, such as
    /// `args.amount > 100`.
    When(Arc<Condition>),
}

/// An expression over the arguments.
pub struct Condition {
    source: String,
    expression: Expression<'static, 'static>,
}

/// The kind of an [`Approval`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalPolicy {
    /// No call needs approval.
    Never,
    /// Each call does.
    Always,
    /// It depends on the arguments.
    Conditional,
}

/// The expression cannot be read.
#[derive(Debug, Error)]
#[error(
    "must be \"always\", \"never\" or an expression over args such as \"args.amount > 100\": {0}"
)]
pub struct ApprovalError(String);

impl Approval {
    /// Reads `always`, `never` or an expression.
    pub fn parse(text: &str) -> Result<Self, ApprovalError> {
        match text.trim() {
            "never" => return Ok(Self::Never),
            "always" => return Ok(Self::Always),
            _ => {}
        }
        let expression = EXPRESSIONS.compile_expression_owned(text.to_owned());
        let expression = expression.map_err(|error| ApprovalError(format!("{error:#}")))?;
        let mut unknown = expression.undeclared_variables(false);
        unknown.remove("args");
        if let Some(name) = unknown.iter().min() {
            return Err(ApprovalError(format!("{name:?} is not args")));
        }
        Ok(Self::When(Arc::new(Condition {
            source: text.to_owned(),
            expression,
        })))
    }

    /// Whether a call with these arguments needs approval. An expression that cannot be
    /// computed, because an argument is missing for example, asks a person.
    pub fn is_needed(&self, arguments: &Value) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::When(condition) => condition.holds(arguments),
        }
    }

    /// What kind it is.
    pub fn policy(&self) -> ApprovalPolicy {
        match self {
            Self::Never => ApprovalPolicy::Never,
            Self::Always => ApprovalPolicy::Always,
            Self::When(_) => ApprovalPolicy::Conditional,
        }
    }
}

impl Condition {
    fn holds(&self, arguments: &Value) -> bool {
        match self.expression.eval(context! { args => Serde(arguments) }) {
            Ok(value) => value.is_true(),
            Err(error) => {
                let approval = &self.source;
                tracing::debug!(approval, %error, "not computable, so a person is asked");
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

    #[test]
    fn the_arguments_decide() {
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
            // What cannot be computed asks a person.
            ("args.amount > 100", json!({}), true),
            ("args.a.b.c", json!({ "a": 1 }), true),
        ];
        for (text, arguments, needed) in cases {
            let approval = Approval::parse(text).unwrap();
            assert_eq!(approval.is_needed(&arguments), needed, "{text} {arguments}");
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in ["", "sometimes", "args.", "amount > 100", "{{ args.x }}"] {
            let error = Approval::parse(text).unwrap_err().to_string();
            assert!(error.contains("always"), "{text}: {error}");
        }
    }
}
