//! The clock. Timestamps are UTC and rounded down to the microsecond, which is what both databases
//! store: a value read back equals the value written.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// A point in time, UTC, whole microseconds.
pub type Timestamp = DateTime<Utc>;

/// A duration as the store takes it; one that is out of range becomes the longest possible.
pub fn span(duration: std::time::Duration) -> TimeDelta {
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4);
    TimeDelta::microseconds(micros)
}

/// The current time by this machine's clock, cut to whole microseconds.
pub fn now() -> Timestamp {
    let now = Utc::now();
    now.duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(now)
}
