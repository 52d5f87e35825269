//! The rules of OpenAI, over Chat Completions and Responses.
//!
//! Sources: <https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>
//! (supported and unsupported keywords, limits; all fields required, closed objects, no `anyOf`
//! at the top); <https://learn.microsoft.com/azure/ai-foundry/openai/how-to/structured-outputs>
//! (Azure and fine-tuned models take no bounds, patterns and formats).

use super::rules::{Limits, Optional, References, Rules, Types, Values};

/// An answer with `strict: true`, which is enforced.
pub(crate) const ANSWER: Rules = Rules {
    keywords: &["$ref", "$defs", "const"],
    formats: &[],
    closed: true,
    optional: Optional::Null,
    references: References::Kept,
    types: Types::NullInList,
    values: Values::Scalars,
    plain_names: false,
    spelled_out: true,
    object_at_top: true,
    ordering: false,
    limits: Limits {
        depth: 10,
        properties: 5_000,
        enum_values: 1_000,
        // A single enumeration with more than 250 values has a lower limit, 15,000, which is not
        // modelled.
        characters: 120_000,
        ..Limits::NONE
    },
};
