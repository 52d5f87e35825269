//! Rows as both databases return them, and what they mean.

mod agents;
mod files;
mod interrupts;
mod memories;
mod messages;
mod runs;
mod sessions;
mod stamp;
mod summaries;

pub(crate) use agents::{AGENT_COLUMNS, AgentRow, VERSION_COLUMNS, VersionRow};
pub(crate) use files::{FILE_COLUMNS, FileRow};
pub(crate) use interrupts::{
    INTERRUPT_COLUMNS, InterruptRow, encode_question, encode_resolution, stored_kind,
};
pub(crate) use memories::{MEMORY_COLUMNS, MemoryRow};
pub(crate) use messages::{
    BranchRow, KinRow, MESSAGE_COLUMNS, MessageRow, by_branch, by_kin, encode_parts,
    sorted_branches,
};
pub(crate) use runs::{
    RunRow, SessionUsageRow, TakenRow, encode_options, run_columns, taken_columns,
};
pub(crate) use sessions::{
    LOCKED_SESSION_COLUMNS, LockedSession, LockedSessionRow, SessionRow, session_columns,
};
pub(crate) use stamp::Stamp;
pub(crate) use summaries::{SUMMARY_COLUMNS, SummaryRow};

use super::StoreError;
use talkgraph_domain::Principal;

/// Turns rows into what they mean.
pub(crate) fn all<R, T>(rows: Vec<R>) -> Result<Vec<T>, StoreError>
where
    T: TryFrom<R>,
    StoreError: From<T::Error>,
{
    rows.into_iter()
        .map(|row| T::try_from(row).map_err(StoreError::from))
        .collect()
}

/// A row that somebody owns.
pub(crate) trait Owned {
    /// Who that is, for work the server does on its behalf.
    fn principal(&self) -> Principal;
}

/// Turns rows into what they mean, each with whoever owns it.
pub(crate) fn owned<R, T>(rows: Vec<R>) -> Result<Vec<(Principal, T)>, StoreError>
where
    R: Owned,
    T: TryFrom<R, Error = StoreError>,
{
    rows.into_iter()
        .map(|row| Ok((row.principal(), T::try_from(row)?)))
        .collect()
}

impl From<std::convert::Infallible> for StoreError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

fn known<T: std::str::FromStr>(name: &str, column: &str) -> Result<T, StoreError> {
    name.parse().map_err(|_| corrupt(column, name))
}

fn known_option<T: std::str::FromStr>(
    name: Option<String>,
    column: &str,
) -> Result<Option<T>, StoreError> {
    name.map(|name| known(&name, column)).transpose()
}

pub(crate) fn corrupt(column: &str, what: &str) -> StoreError {
    StoreError::Internal(format!("{column} makes no sense: {what}"))
}
