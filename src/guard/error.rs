//! Reasons for refusing a document, all client errors.

use async_graphql::Pos;
use async_graphql::parser::Error as ParseError;
use thiserror::Error;

/// The reason for refusing a document or its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuardError {
    /// The document is not GraphQL.
    #[error("syntax error: {message}")]
    Syntax {
        /// The error message.
        message: String,
        /// The positions in the document.
        positions: Vec<Pos>,
    },
    /// The document exceeds a limit.
    #[error("the request has more than {most} {what}; reduce it or split it into several requests")]
    Limit {
        /// The limited quantity.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// A fragment spreads itself.
    #[error("fragment {fragment:?} spreads itself; remove the cycle")]
    Cycle {
        /// The fragment's name.
        fragment: String,
    },
    /// The request names an unknown operation, or none of several.
    #[error("{0}")]
    Operation(String),
    /// A subscription selects several fields, whose events would have no common order (GraphQL,
    /// section 5.2.4.1).
    #[error(
        "a subscription must select exactly one top-level field, without @skip or @include; \
         subscribe to each field separately"
    )]
    SubscriptionFields,
    /// A variable is missing or has the wrong type.
    #[error("{message}")]
    Variable {
        /// The error message.
        message: String,
        /// The position of its definition in the document.
        positions: Vec<Pos>,
    },
    /// A parameter of the request other than the document is invalid.
    #[error("`{field}` {message}")]
    Parameter {
        /// The parameter.
        field: &'static str,
        /// The error message.
        message: String,
    },
}

impl GuardError {
    pub(super) fn limit_exceeded(what: &'static str, most: impl TryInto<u64>) -> Self {
        let most = most.try_into().unwrap_or(u64::MAX);
        Self::Limit { what, most }
    }

    /// Returns `extensions.code`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "GRAPHQL_PARSE_FAILED",
            Self::Limit { .. } => "LIMIT_EXCEEDED",
            Self::Cycle { .. } | Self::SubscriptionFields => "GRAPHQL_VALIDATION_FAILED",
            Self::Operation(_) => "OPERATION_RESOLUTION_FAILURE",
            Self::Variable { .. } => "BAD_USER_INPUT",
            Self::Parameter { .. } => "BAD_REQUEST",
        }
    }

    /// Returns the positions in the document.
    pub(crate) fn locations(&self) -> &[Pos] {
        match self {
            Self::Syntax { positions, .. } | Self::Variable { positions, .. } => positions,
            _ => &[],
        }
    }
}

impl From<ParseError> for GuardError {
    fn from(error: ParseError) -> Self {
        let positions = error.positions().take(1).collect();
        let message = error.to_string();
        // The parser shows an excerpt over several lines, which `locations` replaces.
        let why = message.rsplit_once("= ").map_or(&*message, |(_, why)| why);
        Self::Syntax {
            message: why.trim().to_owned(),
            positions,
        }
    }
}
