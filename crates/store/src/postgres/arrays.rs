//! Rows as one array for each column.

use sqlx::{Postgres, QueryBuilder};

use super::dialect::micros;
use crate::commit::cells::{Cell, Row};

/// The columns of `v` ([`push_arrays`]) as they are stored.
pub(super) fn selected(rows: &[Row<'_>]) -> String {
    let stored = |(name, cell): &(&str, Cell<'_>)| match cell {
        Cell::FromNow(_) => {
            format!("statement_timestamp() + v.{name} * interval '1 microsecond'")
        }
        _ => format!("v.{name}"),
    };
    let first = rows.iter().take(1).flatten();
    first.map(stored).collect::<Vec<_>>().join(", ")
}

/// Adds `UNNEST(…) AS v (…) ` with an array for each column.
pub(super) fn push_arrays(query: &mut QueryBuilder<Postgres>, rows: &[Row<'_>]) {
    let names = crate::commit::cells::names(rows);
    query.push("UNNEST(");
    for at in 0..names.len() {
        if at > 0 {
            query.push(", ");
        }
        push_array(query, rows, at);
    }
    query.push(") AS v (").push(names.join(", ")).push(") ");
}

/// The values of one kind in a column.
macro_rules! column {
    ($rows:expr, $at:expr, $kind:pat => $value:expr) => {
        $rows
            .iter()
            .map(|row| match row.get($at) {
                Some((_, $kind)) => $value,
                _ => None,
            })
            .collect::<Vec<_>>()
    };
}

fn push_array(query: &mut QueryBuilder<Postgres>, rows: &[Row<'_>], at: usize) {
    let first = rows.first().and_then(|row| row.get(at));
    let Some((_, first)) = first else {
        return;
    };
    match first {
        Cell::Id(_) => query.push_bind(column!(rows, at, Cell::Id(id) => *id)),
        Cell::Text(_) => query.push_bind(column!(rows, at, Cell::Text(text) => *text)),
        Cell::Flag(_) => query.push_bind(column!(rows, at, Cell::Flag(flag) => *flag)),
        Cell::Integer(_) => query.push_bind(column!(rows, at, Cell::Integer(n) => *n)),
        Cell::Number(_) => query.push_bind(column!(rows, at, Cell::Number(n) => *n)),
        Cell::Time(_) => query.push_bind(column!(rows, at, Cell::Time(time) => *time)),
        Cell::FromNow(_) => {
            query.push_bind(column!(rows, at, Cell::FromNow(after) => Some(micros(*after))))
        }
        Cell::Options(_) => {
            query.push_bind(column!(rows, at, Cell::Options(options) => options.as_deref()))
        }
    };
    query.push(match first {
        Cell::Id(_) => "::uuid[]",
        Cell::Text(_) => "::text[]",
        Cell::Flag(_) => "::boolean[]",
        Cell::Integer(_) => "::integer[]",
        Cell::Number(_) | Cell::FromNow(_) => "::bigint[]",
        Cell::Time(_) => "::timestamptz[]",
        Cell::Options(_) => "::jsonb[]",
    });
}
