//! The rules for the embedded model, whose answers follow a grammar of the schema.
//!
//! Source: <https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md>.

use super::compatible;
use super::rules::{Limits, Optional, References, Rules, Types, Values};

/// An answer. Its objects are closed: so small a model would add properties without end.
pub(crate) const ANSWER: Rules = Rules {
    keywords: compatible::KEYWORDS,
    formats: compatible::FORMATS,
    closed: true,
    optional: Optional::Absent,
    references: References::Kept,
    types: Types::List,
    values: Values::Any,
    plain_names: false,
    spelled_out: true,
    object_at_top: true,
    ordering: false,
    limits: Limits::NONE,
};
