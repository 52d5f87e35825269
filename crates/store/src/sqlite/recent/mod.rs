//! The open ends of the logs: the newest events of all runs, which are committed to one table in
//! their order of arrival and sorted into their runs' logs later, several of a run at a time. A
//! commit that wrote to each run's log would change a page of the log's index for each; this one
//! changes the end of a table.
//!
//! Rows of the table count like rows of the logs. The memory next to it holds the state for the
//! next commit: the holder of a run, the end of its log, and the rows to sort. If that may be
//! wrong, because of a failure or a take-over by another process, the database sorts all rows
//! itself and the memory is reset.

mod statements;

use std::collections::{BTreeMap, HashMap};

use sqlx::SqliteConnection;

use crate::StoreError;
use crate::commit::group::LogRow;
use crate::log::{Packed, encode_events};
use talkgraph_domain::{NodeId, Principal, RunId};

pub(super) use statements::{LAST_SEQUENCE, events, purge, sort_everything};
use statements::{MOST_ROWS, SORTED_AT_ONCE};

/// The largest row in bytes that goes this way; larger ones are written to their logs at once.
const MOST_BYTES: usize = 4 * 1024;

/// The number of rows before the sorted ones are removed: pages are freed as a whole.
const REMOVED_AT_ONCE: usize = 512;

/// The limit of remembered runs without unsorted events. A run that is not remembered costs an
/// ordinary commit.
const MOST_LOGS: usize = 16_384;

/// The open ends of the logs, as one process writes them.
pub(super) struct Recent {
    /// The id of this process in its rows.
    writer: i64,
    /// The limit of rows since a run's oldest one before its rows are sorted.
    most: i64,
    /// The number of take-overs, as far as known.
    takeovers: i64,
    /// True if the database may differ from this state.
    is_in_doubt: bool,
    logs: HashMap<RunId, OpenLog>,
    /// The runs with unsorted events, by their oldest row.
    unsorted: BTreeMap<i64, RunId>,
    /// The runs with so many unsorted events that they are sorted next.
    full: Vec<RunId>,
    last_row: i64,
    rows_since_removal: usize,
}

/// The log of a run that this process executes.
pub(super) struct OpenLog {
    who: Principal,
    node: NodeId,
    fence: i64,
    last_sequence: u64,
    unsorted: Option<Unsorted>,
}

/// Events of a run that are not in its log yet.
struct Unsorted {
    oldest_row: i64,
    first_sequence: u64,
    /// The encoding for their log row: pieces are joined as they arrive.
    events: Packed,
}

impl OpenLog {
    /// A log that ends with a row that was just written to it.
    pub(super) fn sorted(row: &LogRow<'_>) -> Self {
        Self {
            who: row.who.clone(),
            node: row.node,
            fence: row.fence,
            last_sequence: row.last_sequence(),
            unsorted: None,
        }
    }
}

impl Recent {
    /// Creates an empty state. `most` bounds the unsorted rows.
    pub(super) fn new(most: u32) -> Self {
        Self {
            writer: fastrand::i64(..),
            most: most.into(),
            takeovers: 0,
            is_in_doubt: true,
            logs: HashMap::new(),
            unsorted: BTreeMap::new(),
            full: Vec::new(),
            last_row: 0,
            rows_since_removal: 0,
        }
    }

    /// Marks the state as unreliable after a failure.
    pub(super) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// Sorts the rows of this process, and resets the state.
    pub(super) async fn settle(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if !self.is_in_doubt {
            return Ok(());
        }
        self.takeovers = statements::sort_all_of(connection, self.writer).await?;
        self.logs.clear();
        self.unsorted.clear();
        self.full.clear();
        self.rows_since_removal = 0;
        self.is_in_doubt = false;
        Ok(())
    }

    /// Commits rows of known runs. False, and nothing is written, if some do not follow their logs
    /// as far as known, or if they are too many or too large.
    pub(super) async fn append(
        &mut self,
        connection: &mut SqliteConnection,
        rows: &[LogRow<'_>],
    ) -> Result<bool, StoreError> {
        if rows.is_empty() {
            return Ok(true);
        }
        if rows.len() > MOST_ROWS || !rows.iter().all(|row| self.follows(row)) {
            return Ok(false);
        }
        let encoded = rows.iter().map(|row| encode_events(&row.events));
        let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
        if encoded.iter().any(|events| events.len() > MOST_BYTES) {
            return Ok(false);
        }
        let fence = (self.writer, self.takeovers);
        let Some(last_row) = statements::append(connection, fence, rows, &encoded).await? else {
            self.doubt();
            return Ok(false);
        };
        self.last_row = last_row;
        self.rows_since_removal += rows.len();
        let first_row = 1 + last_row - i64::try_from(rows.len()).unwrap_or(0);
        for (row, id) in rows.iter().zip(first_row..) {
            self.note(row, id);
        }
        Ok(true)
    }

    fn follows(&self, row: &LogRow<'_>) -> bool {
        self.logs.get(&row.run_id).is_some_and(|log| {
            (log.node, log.fence) == (row.node, row.fence)
                && log.last_sequence + 1 == row.first_sequence()
        })
    }

    /// Remembers a row that is committed.
    fn note(&mut self, row: &LogRow<'_>, id: i64) {
        let Some(log) = self.logs.get_mut(&row.run_id) else {
            return;
        };
        log.last_sequence = row.last_sequence();
        let unsorted = log.unsorted.get_or_insert_with(|| {
            self.unsorted.insert(id, row.run_id);
            Unsorted {
                oldest_row: id,
                first_sequence: row.first_sequence(),
                events: Packed::default(),
            }
        });
        row.events
            .iter()
            .for_each(|event| unsorted.events.push(event));
        if unsorted.events.is_full() && !self.full.contains(&row.run_id) {
            self.full.push(row.run_id);
        }
    }

    /// True if a run's log is known.
    pub(super) fn knows(&self, run: RunId) -> bool {
        self.logs.contains_key(&run)
    }

    /// A row for its run's log, together with the run's unsorted events: its first sequence and its
    /// events. The sequence fits no log if the row does not follow.
    pub(super) fn with_unsorted(&self, row: &LogRow<'_>) -> Result<(u64, String), StoreError> {
        let log = self.logs.get(&row.run_id);
        let log = log.filter(|log| (log.node, log.fence) == (row.node, row.fence));
        let Some((log, unsorted)) = log.and_then(|log| Some((log, log.unsorted.as_ref()?))) else {
            return Ok((row.first_sequence(), encode_events(&row.events)?));
        };
        if log.last_sequence + 1 != row.first_sequence() {
            return Ok((0, encode_events(&row.events)?));
        }
        let mut all = unsorted.events.clone();
        row.events.iter().for_each(|event| all.push(event));
        Ok((unsorted.first_sequence, all.encode()?))
    }

    /// Remembers the logs that a transaction has changed.
    pub(super) fn note_sorted(&mut self, logs: Vec<(RunId, OpenLog)>) {
        for (run, log) in logs {
            self.forget(run);
            self.logs.insert(run, log);
        }
        if self.logs.len() > MOST_LOGS {
            self.logs.retain(|_, log| log.unsorted.is_some());
        }
    }

    /// Forgets an ended run: all of its events are in its log.
    pub(super) fn forget(&mut self, run: RunId) {
        if let Some(unsorted) = self.logs.remove(&run).and_then(|log| log.unsorted) {
            self.unsorted.remove(&unsorted.oldest_row);
        }
    }

    /// Sorts old rows, if there are enough of them, and removes sorted ones.
    pub(super) async fn tidy(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        while let Some(runs) = self.due() {
            self.full.retain(|run| !runs.contains(run));
            self.sort(connection, &runs).await?;
        }
        if self.is_removal_due() {
            let oldest = self.unsorted.keys().next();
            let before = oldest.map_or(self.last_row + 1, |oldest| *oldest);
            statements::remove(connection, self.writer, before).await?;
            self.rows_since_removal = 0;
        }
        Ok(())
    }

    /// True if there is work for [`Self::tidy`].
    pub(super) fn is_untidy(&self) -> bool {
        self.is_removal_due() || self.due().is_some()
    }

    fn is_removal_due(&self) -> bool {
        !self.is_in_doubt && self.rows_since_removal >= REMOVED_AT_ONCE
    }

    /// The runs to sort now, as many as one statement takes.
    fn due(&self) -> Option<Vec<RunId>> {
        if self.is_in_doubt {
            return None;
        }
        if !self.full.is_empty() {
            return Some(self.full.iter().take(SORTED_AT_ONCE).copied().collect());
        }
        let due = self.unsorted.range(..=self.last_row - self.most);
        let wanted = SORTED_AT_ONCE.min(usize::try_from(self.most).unwrap_or(usize::MAX));
        let due: Vec<_> = due.take(wanted).map(|(_, run)| *run).collect();
        (due.len() == wanted).then_some(due)
    }

    async fn sort(
        &mut self,
        connection: &mut SqliteConnection,
        runs: &[RunId],
    ) -> Result<(), StoreError> {
        let mut logs = Vec::with_capacity(runs.len());
        for run in runs {
            let Some(log) = self.logs.get(run) else {
                continue;
            };
            let Some(unsorted) = &log.unsorted else {
                continue;
            };
            logs.push(statements::LogEnd {
                run: *run,
                who: &log.who,
                sequences: (unsorted.first_sequence, log.last_sequence),
                events: unsorted.events.encode()?,
            });
        }
        if !statements::sort(connection, logs).await? {
            self.doubt();
            return Ok(());
        }
        for run in runs {
            let log = self.logs.get_mut(run);
            if let Some(unsorted) = log.and_then(|log| log.unsorted.take()) {
                self.unsorted.remove(&unsorted.oldest_row);
            }
        }
        Ok(())
    }
}
