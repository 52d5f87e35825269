//! Conversions that the rows of all aggregates share.

mod stamp;

pub(crate) use stamp::Stamp;

use super::StoreError;
use talkgraph_domain::Principal;

/// Decodes rows.
pub(crate) fn all<R, T>(rows: Vec<R>) -> Result<Vec<T>, StoreError>
where
    T: TryFrom<R>,
    StoreError: From<T::Error>,
{
    rows.into_iter()
        .map(|row| T::try_from(row).map_err(StoreError::from))
        .collect()
}

/// A row with an owner.
pub(crate) trait Owned {
    /// The owner, for work that the server does on its behalf.
    fn principal(&self) -> Principal;
}

/// Decodes rows, each with its owner.
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

pub(crate) fn known<T: std::str::FromStr>(name: &str, column: &str) -> Result<T, StoreError> {
    name.parse().map_err(|_| corrupt(column, name))
}

pub(crate) fn known_option<T: std::str::FromStr>(
    name: Option<String>,
    column: &str,
) -> Result<Option<T>, StoreError> {
    name.map(|name| known(&name, column)).transpose()
}

pub(crate) fn corrupt(column: &str, what: &str) -> StoreError {
    StoreError::Internal(format!("{column} is corrupt: {what}"))
}
