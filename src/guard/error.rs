//! Why a document is refused. All of this is the client's.

use async_graphql::Pos;
use async_graphql::parser::Error as ParseError;
use thiserror::Error;

/// Why a document, or what came with it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GuardError {
    /// It is not GraphQL.
    #[error("syntax error: {message}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        at: Vec<Pos>,
    },
    /// It has too much of something.
    #[error("the request has more than {most} {what}; ask for less, or in several requests")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        most: u64,
    },
    /// A fragment spreads itself.
    #[error("fragment {fragment:?} spreads itself; break the circle")]
    Cycle {
        /// Its name.
        fragment: String,
    },
    /// The request names an operation that is not there, or does not say which it means.
    #[error("{0}")]
    Operation(String),
    /// A subscription of several fields, whose events would have no one order (GraphQL,
    /// section 5.2.4.1).
    #[error(
        "a subscription has one field at its top, without @skip or @include around it; subscribe \
         to each on its own"
    )]
    SubscriptionFields,
    /// A variable is missing or not of its type.
    #[error("{message}")]
    Variable {
        /// The error message.
        message: String,
        /// The place of its definition in the document.
        at: Vec<Pos>,
    },
    /// Something beside the document is wrong.
    #[error("`{field}` {message}")]
    Parameter {
        /// The request's field.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl GuardError {
    pub(super) fn over(what: &'static str, most: impl TryInto<u64>) -> Self {
        let most = most.try_into().unwrap_or(u64::MAX);
        Self::Limit { what, most }
    }

    /// `extensions.code`.
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

    /// Where in the document it is.
    pub(crate) fn locations(&self) -> &[Pos] {
        match self {
            Self::Syntax { at, .. } | Self::Variable { at, .. } => at,
            _ => &[],
        }
    }
}

impl From<ParseError> for GuardError {
    fn from(error: ParseError) -> Self {
        let at = error.positions().take(1).collect();
        let message = error.to_string();
        // The parser draws the place over several lines; `locations` tells it.
        let why = message.rsplit_once("= ").map_or(&*message, |(_, why)| why);
        Self::Syntax {
            message: why.trim().to_owned(),
            at,
        }
    }
}
