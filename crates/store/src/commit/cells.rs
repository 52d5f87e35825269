//! Rows as lists of columns, from which each database builds its statement for many rows.

use chrono::TimeDelta;
use sqlx::types::Json;
use uuid::Uuid;

use crate::runs::rows::StoredOptions;
use talkgraph_domain::time::Timestamp;

/// A value of a column. All rows of a statement have the same kind in a column.
pub(crate) enum Cell<'a> {
    Id(Option<Uuid>),
    Text(Option<&'a str>),
    Flag(Option<bool>),
    Integer(Option<i32>),
    Number(Option<i64>),
    Time(Option<Timestamp>),
    /// A time after the present of the clock that all nodes share.
    FromNow(TimeDelta),
    Options(Option<Box<Json<StoredOptions>>>),
}

/// The cells of one row with the names of their columns, in the same order in all rows.
pub(crate) type Row<'a> = Vec<(&'static str, Cell<'a>)>;

/// The names of the columns of these rows; none without rows.
pub(crate) fn names(rows: &[Row<'_>]) -> Vec<&'static str> {
    let first = rows.first();
    first.map_or_else(Vec::new, |row| row.iter().map(|(name, _)| *name).collect())
}
