//! The rules of Gemini.
//!
//! Sources: <https://ai.google.dev/api/generate-content#FIELDS.response_json_schema> (the
//! supported keywords, cycles, nothing next to `$ref`, `propertyOrdering`);
//! <https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support> (null in a list
//! of types); <https://github.com/github/copilot-cli/issues/4623> (lists of types of objects and
//! boolean schemas void the request);
//! <https://github.com/rikkahub/rikkahub/issues/477> (values of `enum`).

use super::rules::{Limits, Optional, References, Rules, Types, Values};

/// An answer's `responseJsonSchema`.
pub(crate) const ANSWER: Rules = Rules {
    keywords: &[
        "additionalProperties",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "format",
    ],
    formats: &["date-time", "date", "time"],
    closed: false,
    optional: Optional::Absent,
    references: References::Inlined,
    types: Types::NullInListOfScalars,
    values: Values::TextsOrNumbers,
    plain_names: false,
    spelled_out: false,
    object_at_top: false,
    ordering: true,
    limits: Limits::NONE,
};

/// A function's `parametersJsonSchema`.
pub(crate) const TOOL: Rules = Rules {
    ordering: false,
    ..ANSWER
};
