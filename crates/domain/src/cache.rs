//! The lifetime of prompts in a provider's cache.

use serde::{Deserialize, Serialize};

/// The lifetime of a prompt in a provider's cache, where requests ask for one.
/// <https://platform.claude.com/docs/en/build-with-claude/prompt-caching#1-hour-cache-duration>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheTtl {
    /// Five minutes from the last use.
    #[default]
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour from the last use.
    #[serde(rename = "1h")]
    Hour,
    /// No caching.
    #[serde(rename = "off")]
    Off,
}
