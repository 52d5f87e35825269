//! The clock. Timestamps are UTC and kept to the microsecond, which is what both
//! databases store: a value read back equals the value written.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// A point in time, UTC, whole microseconds.
pub type Timestamp = DateTime<Utc>;

/// The current time, cut to whole microseconds.
pub fn now() -> Timestamp {
    let now = Utc::now();
    now.duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(now)
}
