//! The current time.

use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Tool, ToolContext, ToolError, ToolOutput};

/// Tells the time in any zone of the IANA database.
pub struct CurrentTime;

#[derive(Deserialize)]
struct Arguments {
    #[serde(default = "utc")]
    time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl CurrentTime {
    /// The tool's name.
    pub const NAME: &str = "current_time";

    /// The tool's description for models.
    pub const DESCRIPTION: &str = "Tells the current date, time and day of the week. \
        Use it whenever an answer depends on what day or time it is now.";

    /// The JSON Schema of its arguments.
    pub fn parameters() -> Value {
        json!({
            "type": "object",
            "properties": {
                "time_zone": {
                    "type": "string",
                    "description": "A name of the IANA time zone database, such as Europe/Zurich; UTC when absent.",
                    "maxLength": 64,
                },
            },
            "additionalProperties": false,
        })
    }
}

#[async_trait]
impl Tool for CurrentTime {
    async fn call(&self, _: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments =
            serde_json::from_value(arguments).map_err(ToolError::internal)?;
        Ok(ToolOutput::new(told(Utc::now(), &arguments.time_zone)?))
    }
}

fn told(at: DateTime<Utc>, zone: &str) -> Result<String, ToolError> {
    let zone = Tz::from_str(zone).map_err(|_| {
        ToolError::Failed(format!(
            "there is no time zone {zone:?}; use a name such as Europe/Zurich or UTC"
        ))
    })?;
    let local = at.with_timezone(&zone);
    Ok(format!(
        "{} ({}, {})",
        local.format("%Y-%m-%dT%H:%M:%S%:z"),
        local.format("%A"),
        zone.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_their_own_time() {
        let at: DateTime<Utc> = "2026-07-01T22:30:00Z".parse().unwrap();
        let cases = [
            ("UTC", "2026-07-01T22:30:00+00:00 (Wednesday, UTC)"),
            (
                "Europe/Zurich",
                "2026-07-02T00:30:00+02:00 (Thursday, Europe/Zurich)",
            ),
            (
                "Asia/Kathmandu",
                "2026-07-02T04:15:00+05:45 (Thursday, Asia/Kathmandu)",
            ),
        ];
        for (zone, expected) in cases {
            assert_eq!(told(at, zone).unwrap(), expected);
        }
        let error = told(at, "Mars/Olympus").unwrap_err();
        assert!(error.public_message().contains("Europe/Zurich"), "{error}");
    }
}
