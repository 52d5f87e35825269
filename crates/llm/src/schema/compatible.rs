//! The rules for schemas that are not strict over OpenAI's protocols, with any server.
//!
//! Tools are never strict: most of their schemas are open, or have optional properties that must
//! not be null. OpenAI takes no combinators at the top of their arguments and wants `properties`
//! (<https://github.com/langchain-ai/langchainjs/issues/9804>,
//! <https://github.com/containers/kubernetes-mcp-server/issues/340>) and no `allOf`
//! (<https://github.com/makenotion/notion-mcp-server/issues/102>). Few of the other servers
//! document what they accept; most convert a schema into a grammar. Keywords that fail in some of
//! them are left out for all: patterns that are not anchored or look around
//! (<https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md#json-schemas--gbnf>),
//! several keywords of validation
//! (<https://docs.vllm.ai/en/latest/features/structured_outputs.html>), foreign dialects.

use super::rules::{Limits, Optional, References, Rules, Types, Values};

/// The keywords that grammars of JSON Schemas support.
pub(super) const KEYWORDS: &[&str] = &[
    "$ref",
    "$defs",
    "const",
    "additionalProperties",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "prefixItems",
];

/// The formats of JSON Schema that have a fixed form.
pub(super) const FORMATS: &[&str] = &[
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// An answer that cannot be strict.
pub(crate) const ANSWER: Rules = Rules {
    object_at_top: true,
    ..TOOL
};

/// The arguments of a tool.
pub(crate) const TOOL: Rules = Rules {
    keywords: KEYWORDS,
    formats: FORMATS,
    closed: false,
    optional: Optional::Absent,
    references: References::InlinedOrKept,
    types: Types::List,
    values: Values::Any,
    plain_names: false,
    spelled_out: true,
    object_at_top: false,
    ordering: false,
    limits: Limits::NONE,
};
