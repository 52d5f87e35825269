//! Rows of the event log.

use sqlx::types::Json;
use sqlx_macros::FromRow;

use talkgraph_domain::{EventBody, RunEvent, RunId};

use super::pieces::{Element, Packed};
use crate::StoreError;
use crate::rows::corrupt;

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

/// The condition that a new log row `v` follows its run's log, without a hole or an overlap.
pub(crate) const FOLLOWS_LOG: &str = concat!(
    "v.first_sequence = 1 + coalesce(",
    log_end!("v.run_id"),
    ", 0)"
);

/// The condition that the node of a new log row `v` still holds the run under its fence.
pub(crate) const HAS_RUN: &str =
    "(v.node_id, v.fence) = (SELECT r.node_id, r.fence FROM runs r WHERE r.id = v.run_id)";

/// Encodes events for a log row, see [`Packed`]; their sequences follow from the row's first, so
/// there must be no hole between them.
pub(crate) fn encode_events(events: &[&RunEvent]) -> Result<String, StoreError> {
    if !events.is_sorted_by(|a, b| a.sequence + 1 == b.sequence) {
        return Err(corrupt("run_events.events", "the sequence has a hole"));
    }
    if let [event] = events {
        // Most rows: nothing is copied.
        let row = [(event.at.timestamp_micros(), &event.body)];
        let text = serde_json::to_string(&row);
        return text.map_err(|error| corrupt("run_events.events", &error.to_string()));
    }
    let mut packed = Packed::default();
    events.iter().for_each(|event| packed.push(event));
    packed.encode()
}

/// A log row's events.
#[derive(FromRow)]
pub(crate) struct LogGroupRow {
    first_sequence: i64,
    last_sequence: i64,
    events: Json<Vec<Element>>,
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
        let mut next = first;
        for element in row.events.0 {
            // One event represents the whole row.
            let is_whole_row = matches!(element.body(), EventBody::LogCompacted);
            let number = if is_whole_row { last } else { next };
            let before = events.len();
            let count = element.events(run_id, number, after, &mut events);
            next += count.ok_or_else(|| corrupt("run_events.events", "pieces do not fit"))?;
            if let (true, Some(event)) = (is_whole_row, events.get_mut(before)) {
                event.first_sequence = first;
            }
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use talkgraph_domain::time::now;
    use talkgraph_domain::{MessageId, ToolCallId};

    /// A piece of something: of which part, its text, and how deep in child runs it is.
    fn any_piece() -> impl Strategy<Value = (u8, String, u8)> {
        let text = prop::collection::vec(any::<char>(), 0..4).prop_map(String::from_iter);
        (0..7_u8, text, 0..3_u8)
    }

    /// A log of such pieces, each some time after the one before, or before it: a clock may be
    /// set back.
    fn log(pieces: Vec<((u8, String, u8), i64)>) -> Vec<RunEvent> {
        let (message, other, call, child) = (
            MessageId::new(),
            MessageId::new(),
            ToolCallId::new(),
            RunId::new(),
        );
        let (run, mut at, mut end) = (RunId::new(), now(), 0);
        let mut events = Vec::new();
        for ((((kind, delta, depth), later), sequence), inner) in
            pieces.into_iter().zip(1..).zip(5..)
        {
            at += TimeDelta::microseconds(later);
            let mut body = match kind {
                0..=1 => {
                    end += delta.len() as u64;
                    EventBody::TextDelta {
                        message_id: message,
                        delta,
                        end,
                    }
                }
                2 => EventBody::TextDelta {
                    message_id: other,
                    end: delta.len() as u64,
                    delta,
                },
                3 => EventBody::ReasoningDelta {
                    message_id: message,
                    delta,
                    signature: None,
                },
                4 => EventBody::ReasoningDelta {
                    message_id: message,
                    delta: String::new(),
                    signature: Some(delta),
                },
                5 => EventBody::ToolCallArgumentsDelta {
                    tool_call_id: call,
                    delta,
                },
                _ => EventBody::RunStarted,
            };
            for _ in 0..depth {
                let event = RunEvent {
                    run_id: child,
                    sequence: inner,
                    // Some were merged where they were followed.
                    first_sequence: if kind == 2 { inner - 1 } else { inner },
                    at: at - TimeDelta::microseconds(sequence % 3),
                    body,
                };
                body = EventBody::ChildRunEvent {
                    tool_call_id: call,
                    event: Box::new(event),
                };
            }
            let sequence = sequence.cast_unsigned();
            events.push(RunEvent {
                run_id: run,
                sequence,
                first_sequence: sequence,
                at,
                body,
            });
        }
        events
    }

    fn row(events: &[RunEvent], text: &str) -> LogGroupRow {
        LogGroupRow {
            first_sequence: events
                .first()
                .map_or(0, |event| event.sequence.cast_signed()),
            last_sequence: events
                .last()
                .map_or(0, |event| event.sequence.cast_signed()),
            events: Json(serde_json::from_str(text).unwrap()),
        }
    }

    proptest! {
        /// However pieces are joined into rows: after any sequence exactly the rest is read.
        #[test]
        fn joined_pieces_are_read_from_any_place(
            pieces in prop::collection::vec((any_piece(), -1..3_i64), 1..60),
            rows in prop::collection::vec(1..20_usize, 1..60),
        ) {
            let events = log(pieces);
            let (run, mut rest, mut written) = (events[0].run_id, &events[..], Vec::new());
            let mut rows = rows.into_iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rows.next().unwrap_or(1).min(rest.len()));
                written.push((now, encode_events(&now.iter().collect::<Vec<_>>()).unwrap()));
                rest = later;
            }
            for after in 0..=events.len() {
                let rows = written.iter().map(|(events, text)| row(events, text)).collect();
                let read = decode_events(run, rows, after as u64).unwrap();
                prop_assert_eq!(&read[..], &events[after..]);
            }
        }
    }

    /// An answer of a mebibyte, a byte at a time, takes some three bytes for each.
    #[test]
    fn small_pieces_take_little() {
        let pieces = (0..1_024).map(|n| ((0, "x".to_owned(), 0), i64::from(n % 8 == 0)));
        let events = log(pieces.collect());
        let text = encode_events(&events.iter().collect::<Vec<_>>()).unwrap();
        assert!(text.len() < 3 * events.len(), "{} bytes", text.len());
    }

    /// Rows from before pieces were joined.
    #[test]
    fn plain_rows_are_read() {
        let events = log(vec![
            ((0, "a".into(), 0), 1),
            ((0, "b".into(), 0), 1),
            ((6, String::new(), 1), 1),
        ]);
        let pairs: Vec<_> = events
            .iter()
            .map(|event| (event.at.timestamp_micros(), &event.body))
            .collect();
        let text = serde_json::to_string(&pairs).unwrap();
        let read = decode_events(events[0].run_id, vec![row(&events, &text)], 1).unwrap();
        assert_eq!(read, events[1..]);
    }
}
