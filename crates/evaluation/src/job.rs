//! The request sent to a worker, and its response.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Failure;

/// The version of this protocol: a worker of another program is refused.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

/// The first frame to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The memory that it may use beyond its program and its stack, in bytes.
    pub(super) memory_bytes: u64,
    /// The time limit of a job, in milliseconds: past it a worker without a parent ends.
    pub(super) job_timeout_ms: u64,
}

/// The first frame from a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) version: String,
}

/// The way in which a value is written into a request of an HTTP tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Escape {
    /// Percent-encoded: a value is at most a part of a path's segment or of a query's parameter.
    Url,
    /// JSON: a string includes its quotes.
    Json,
}

/// One job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Job<'a> {
    /// Compiles a JSON Schema.
    CheckSchema { schema: Cow<'a, Value> },
    /// Compiles a JSON Schema as far as it is valid.
    MendSchema { schema: Cow<'a, Value> },
    /// Validates a value against a JSON Schema.
    Validate {
        schema: Cow<'a, Value>,
        value: Cow<'a, Value>,
        /// The noun that errors use for the value as a whole.
        name: Cow<'a, str>,
    },
    /// Checks instructions without their variables.
    CheckInstructions { template: Cow<'a, str> },
    /// Lists the paths of the variables that instructions use.
    Variables { template: Cow<'a, str> },
    /// Renders instructions.
    Instructions {
        template: Cow<'a, str>,
        owner: Cow<'a, str>,
        date: Cow<'a, str>,
        variables: Cow<'a, Map<String, Value>>,
    },
    /// Checks an expression over `args`.
    CheckExpression { text: Cow<'a, str> },
    /// Evaluates an expression over `args`.
    Expression {
        text: Cow<'a, str>,
        arguments: Cow<'a, Value>,
    },
    /// Checks a template over `args`.
    CheckRequest {
        source: Cow<'a, str>,
        escape: Escape,
    },
    /// Renders a template over `args`.
    Request {
        source: Cow<'a, str>,
        escape: Escape,
        arguments: Cow<'a, Value>,
    },
    /// Computes an arithmetic expression.
    Calculate { expression: Cow<'a, str> },
}

/// The result of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done,
    /// A schema without its unreadable keywords.
    Schema(Value),
    Text(String),
    Names(BTreeSet<String>),
    Bool(bool),
    Wrong(String),
    Undefined(String),
    TooDeep,
    TooLarge,
}

impl Reply {
    pub(super) fn of<T>(result: Result<T, Failure>, done: impl FnOnce(T) -> Self) -> Self {
        match result {
            Ok(value) => done(value),
            Err(Failure::Undefined(why)) => Self::Undefined(why),
            Err(error) => Self::Wrong(error.to_string()),
        }
    }

    /// The result, or the reason why there is none.
    pub(super) fn result(self) -> Result<Self, Failure> {
        match self {
            Self::Wrong(why) => Err(Failure::Wrong(why)),
            Self::Undefined(why) => Err(Failure::Undefined(why)),
            Self::TooDeep => Err(Failure::TooCostly("it is nested too deeply")),
            Self::TooLarge => Err(Failure::TooCostly("its result is too large")),
            done => Ok(done),
        }
    }
}
