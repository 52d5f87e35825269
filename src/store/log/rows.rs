//! Rows of the event log.

use chrono::DateTime;
use sqlx::FromRow;
use sqlx::types::Json;

use crate::domain::{EventBody, RunEvent, RunId};

use crate::store::StoreError;
use crate::store::rows::corrupt;

/// The last sequence of the log of the run with this id, in SQL; none if it is empty.
macro_rules! log_end {
    ($run:literal) => {
        concat!(
            "(SELECT e.last_sequence FROM run_events e WHERE e.run_id = ",
            $run,
            " ORDER BY e.first_sequence DESC LIMIT 1)"
        )
    };
}
pub(crate) use log_end;

/// The condition that a new log row `v` follows what its run's log has, without a hole and
/// without writing anything twice.
pub(crate) const FOLLOWS_LOG: &str = concat!(
    "v.first_sequence = 1 + coalesce(",
    log_end!("v.run_id"),
    ", 0)"
);

/// The condition that the node of a new log row `v` still has the run, and has had it since it
/// got it under this number.
pub(crate) const HAS_RUN: &str =
    "(v.node_id, v.fence) = (SELECT r.node_id, r.fence FROM runs r WHERE r.id = v.run_id)";

/// Writes events as a log row keeps them: a JSON array of `[microseconds, body]`; their
/// sequences follow from the row's first, so there must be no hole between them.
pub(crate) fn encode_events(events: &[&RunEvent]) -> Result<String, StoreError> {
    if !events.is_sorted_by(|a, b| a.sequence + 1 == b.sequence) {
        return Err(corrupt("run_events.events", "the sequence has a hole"));
    }
    let pairs: Vec<_> = events
        .iter()
        .map(|event| (event.at.timestamp_micros(), &event.body))
        .collect();
    serde_json::to_string(&pairs).map_err(|error| corrupt("run_events.events", &error.to_string()))
}

/// A log row's events: `[microseconds, body]` of each.
#[derive(FromRow)]
pub(crate) struct LogGroupRow {
    first_sequence: i64,
    last_sequence: i64,
    events: Json<Vec<(i64, EventBody)>>,
}

/// Appends the rows that follow the last one.
pub(crate) fn append_following(rows: &mut Vec<LogGroupRow>, more: Vec<LogGroupRow>) {
    let last = rows.last().map_or(0, |row| row.last_sequence);
    rows.extend(more.into_iter().filter(|row| row.first_sequence > last));
}

/// The events of consecutive log rows that come after `after`.
pub(crate) fn decode_events(
    run_id: RunId,
    rows: Vec<LogGroupRow>,
    after: u64,
) -> Result<Vec<RunEvent>, StoreError> {
    let mut events = Vec::new();
    for row in rows {
        let (first, last) = (
            row.first_sequence.cast_unsigned(),
            row.last_sequence.cast_unsigned(),
        );
        for ((at, body), own) in row.events.0.into_iter().zip(first..) {
            // One event stands for the whole row.
            let sequence = match body {
                EventBody::LogCompacted => last,
                _ => own,
            };
            if sequence <= after {
                continue;
            }
            events.push(RunEvent {
                run_id,
                sequence,
                first_sequence: own,
                at: DateTime::from_timestamp_micros(at)
                    .ok_or_else(|| corrupt("run_events.events", "no timestamp"))?,
                body,
            });
        }
    }
    Ok(events)
}
