//! The time zone of the date in an agent's instructions.

use chrono_tz::Tz;

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{AgentSpec, RunOptions};

/// True if the IANA time zone database has a name.
pub fn is_time_zone(name: &str) -> bool {
    name.parse::<Tz>().is_ok()
}

/// The local time of the run: in the run's time zone, else in the agent's, else in UTC.
pub(crate) fn local(at: Timestamp, spec: &AgentSpec, options: &RunOptions) -> Timestamp {
    let name = options.time_zone.as_ref().or(spec.time_zone.as_ref());
    // Invalid names are rejected when the agent is defined or the run starts.
    match name.and_then(|name| name.parse::<Tz>().ok()) {
        Some(zone) => at.with_timezone(&zone).naive_local().and_utc(),
        None => at,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::is_time_zone;

    #[test]
    fn names_are_those_of_the_database() {
        for name in ["UTC", "Europe/Zurich", "America/Argentina/Ushuaia"] {
            assert!(is_time_zone(name), "{name}");
        }
        for name in ["", "Zurich", "Europe/Zürich", "+02:00", "../etc/passwd"] {
            assert!(!is_time_zone(name), "{name}");
        }
    }
}
