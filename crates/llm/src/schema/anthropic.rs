//! The rules of Anthropic.
//!
//! Sources: <https://platform.claude.com/docs/en/build-with-claude/structured-outputs> (JSON
//! Schema limitations, order of properties: required ones first);
//! <https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/lib/_parse/_transform.py>
//! (the keywords and formats that are taken); the API's errors "too many parameters with union
//! types … limit: 16" and the documented 24 optional parameters;
//! <https://github.com/anthropics/claude-code/issues/40075> (tools: no combinators at the top);
//! <https://github.com/anthropics/claude-code/issues/586> (tools: valid draft 2020-12);
//! <https://github.com/modelcontextprotocol/servers/issues/1623> (names of properties).

use super::compatible;
use super::rules::{Limits, Optional, References, Rules, Types, Values};

/// An answer's `output_config.format`.
pub(crate) const ANSWER: Rules = Rules {
    keywords: &["$ref", "$defs", "const", "format"],
    formats: compatible::FORMATS,
    closed: true,
    optional: Optional::NullBeforeRequired,
    references: References::KeptWithoutCycles,
    types: Types::NullInList,
    values: Values::Scalars,
    plain_names: true,
    spelled_out: true,
    object_at_top: true,
    ordering: false,
    limits: Limits {
        optional: 24,
        unions: 16,
        ..Limits::NONE
    },
};

/// A tool's `input_schema`, which is not strict.
pub(crate) const TOOL: Rules = Rules {
    keywords: compatible::KEYWORDS,
    formats: compatible::FORMATS,
    closed: false,
    optional: Optional::Absent,
    references: References::InlinedOrKept,
    types: Types::List,
    values: Values::Any,
    plain_names: true,
    spelled_out: true,
    object_at_top: true,
    ordering: false,
    limits: Limits::NONE,
};
