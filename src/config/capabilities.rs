//! Settings of models: entries of the table of capabilities, and fields of bodies.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::ConfigError;
use super::sections::HIDDEN;
use talkgraph_domain::capabilities::CapabilityOverrides;

/// The largest `extra_body`, in bytes of JSON.
const MAX_EXTRA_BODY_BYTES: usize = 65_536;
/// The highest temperature of any vendor.
const MAX_TEMPERATURE: f32 = 2.0;

/// Fields for the bodies of requests. Debug and serde show their names alone: a gateway may want
/// a secret there.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ExtraBody(Map<String, Value>);

impl ExtraBody {
    /// The fields themselves, secrets included.
    pub fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn check(&self, key: &str) -> Result<(), ConfigError> {
        let bytes = serde_json::to_vec(&self.0).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_EXTRA_BODY_BYTES {
            let why = format!("{bytes} bytes are too many: at most {MAX_EXTRA_BODY_BYTES} of JSON");
            return Err(ConfigError::invalid(key, why));
        }
        Ok(())
    }
}

impl fmt::Debug for ExtraBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |name| (name, HIDDEN);
        f.debug_map().entries(self.0.keys().map(hidden)).finish()
    }
}

impl Serialize for ExtraBody {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.keys().map(|name| (name, HIDDEN)))
    }
}

/// Refuses entries that belong elsewhere or are out of bounds.
pub(super) fn check_capabilities(
    key: &str,
    entries: &CapabilityOverrides,
) -> Result<(), ConfigError> {
    let refused = |name: &str, why: &str| {
        let key = format!("{key}.{name}");
        Err(ConfigError::invalid(key, why.to_owned()))
    };
    if entries.context_tokens.is_some() {
        return refused(
            "context_tokens",
            "is a setting of the provider or the model itself; set it there",
        );
    }
    if entries.price.is_some() {
        return refused(
            "price",
            "is a setting of the provider, prices; set it there",
        );
    }
    if entries.max_output_tokens == Some(0) {
        return refused("max_output_tokens", "0 is not allowed: must be at least 1");
    }
    if let Some(most) = entries.temperature_max
        && !(0.0..=MAX_TEMPERATURE).contains(&most)
    {
        let why = format!("{most} is not allowed: must be from 0 to {MAX_TEMPERATURE}");
        return refused("temperature_max", &why);
    }
    Ok(())
}
