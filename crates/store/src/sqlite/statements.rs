//! The statements of a group commit that write many rows, each for all of the group's rows at
//! once.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::query_builder::Separated;
use sqlx::types::Json;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::commit::cells::{Cell, Row, names};
use crate::commit::group::{FinishedRun, LogRow};
use crate::commit::{NewHead, Statements, StoredRun};
use crate::interrupts::rows::{encode_resolution, stored_kind};
use crate::keys::keyed;
use crate::log::{FOLLOWS_LOG, HAS_RUN};
use crate::messages::rows::encode_parts;
use crate::rows::Stamp;
use crate::runs::columns;
use crate::{NewRun, StoreError};
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{Interrupt, Message, NodeId, Principal, RunId, Session};

use super::recent::{OpenLog, Recent};

/// The largest statement: rows are written in statements of 1, 2, 4 … rows, few enough texts that
/// all of them stay prepared.
const MOST_ROWS: usize = 32;

/// A transaction.
pub(super) struct SqliteStatements<'c> {
    connection: &'c mut SqliteConnection,
    /// The unsorted events of the logs.
    recent: &'c Recent,
    /// The changed logs after the transaction.
    sorted: Vec<(RunId, OpenLog)>,
    /// True if a row was refused because of state that may be out of date.
    is_outdated: bool,
}

impl<'c> SqliteStatements<'c> {
    pub(super) fn new(connection: &'c mut SqliteConnection, recent: &'c Recent) -> Self {
        Self {
            connection,
            recent,
            sorted: Vec::new(),
            is_outdated: false,
        }
    }

    /// The changed logs, if the transaction is committed, and true if it should be rolled back,
    /// because a refused row may only seem not to follow its log.
    pub(super) fn into_sorted(self) -> (Vec<(RunId, OpenLog)>, bool) {
        (self.sorted, self.is_outdated)
    }
}

/// Runs `head VALUES (row), … tail` for all rows, in statements of few sizes.
async fn insert<T>(
    connection: &mut SqliteConnection,
    head: &str,
    rows: &[T],
    tail: &str,
    bind: impl Fn(&mut Separated<'_, Sqlite, &'static str>, &T) -> Result<(), StoreError>,
) -> Result<Vec<Uuid>, StoreError> {
    let mut returned = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let size = 1 << rest.len().min(MOST_ROWS).ilog2();
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let mut query = QueryBuilder::new(head);
        let mut outcome = Ok(());
        query.push_values(chunk, |mut row, item| {
            if let Err(error) = bind(&mut row, item) {
                outcome = Err(error);
            }
        });
        outcome?;
        query.push(tail);
        if tail.contains("RETURNING") {
            let ids: Vec<(Uuid,)> = query.build_query_as().fetch_all(&mut *connection).await?;
            returned.extend(ids.into_iter().map(|(id,)| id));
        } else {
            query.build().execute(&mut *connection).await?;
        }
    }
    Ok(returned)
}

/// Binds the cells of a row.
fn bind_row(
    row: &mut Separated<'_, Sqlite, &'static str>,
    cells: &Row<'_>,
) -> Result<(), StoreError> {
    for (_, cell) in cells {
        match cell {
            Cell::Id(id) => row.push_bind(*id),
            Cell::Text(text) => row.push_bind(*text),
            Cell::Flag(flag) => row.push_bind(*flag),
            Cell::Integer(number) => row.push_bind(*number),
            Cell::Number(number) => row.push_bind(*number),
            Cell::Time(at) => row.push_bind(at.map(Stamp)),
            Cell::FromNow(after) => row.push_bind(Stamp(now() + *after)),
            Cell::Options(options) => row.push_bind(options.as_deref()),
        };
    }
    Ok(())
}

#[async_trait]
impl Statements for SqliteStatements<'_> {
    type Db = Sqlite;

    fn connection(&mut self) -> &mut SqliteConnection {
        self.connection
    }

    async fn insert_sessions(&mut self, rows: &[(&Principal, &Session)]) -> Result<(), StoreError> {
        let head = "INSERT INTO sessions (id, tenant, owner, agent_id, parent_run_id, title, \
                    metadata, head_message_id, branch_length, turns, created_at, updated_at) ";
        insert(self.connection, head, rows, "", |row, (who, session)| {
            row.push_bind(session.id.uuid())
                .push_bind(who.tenant.as_ref())
                .push_bind(who.owner.as_ref())
                .push_bind(session.agent_id.uuid())
                .push_bind(session.parent_run.map(|run| run.uuid()))
                .push_bind(session.title.as_deref())
                .push_bind(Json(&session.metadata))
                .push_bind(session.head.map(|head| head.uuid()))
                .push_bind(session.branch_length)
                .push_bind(session.turns)
                .push_bind(Stamp(session.created_at))
                .push_bind(Stamp(session.updated_at));
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn claim_keys(&mut self, rows: &[&NewRun]) -> Result<HashSet<Uuid>, StoreError> {
        let head = "INSERT INTO idempotency_keys (tenant, owner, key, fingerprint, run_id, \
                    created_at, expires_at) ";
        let tail = " ON CONFLICT (tenant, owner, key) DO UPDATE SET \
                    fingerprint = excluded.fingerprint, run_id = excluded.run_id, \
                    created_at = excluded.created_at, expires_at = excluded.expires_at \
                    WHERE idempotency_keys.expires_at <= excluded.created_at RETURNING run_id";
        let keyed = keyed(rows);
        let claimed = insert(self.connection, head, &keyed, tail, |row, (start, key)| {
            row.push_bind(start.who.tenant.as_ref())
                .push_bind(start.who.owner.as_ref())
                .push_bind(key.key.as_str())
                .push_bind(key.fingerprint.as_slice())
                .push_bind(start.run.id.uuid())
                .push_bind(Stamp(start.run.created_at))
                .push_bind(Stamp(now() + key.lifetime));
            Ok(())
        })
        .await?;
        Ok(claimed.into_iter().collect())
    }

    async fn release_keys(&mut self, rows: &[&NewRun]) -> Result<(), StoreError> {
        let head = "WITH v (tenant, owner, key, run_id) AS (";
        let tail = ") DELETE FROM idempotency_keys \
                    WHERE (tenant, owner, key, run_id) IN (SELECT * FROM v)";
        insert(
            self.connection,
            head,
            &keyed(rows),
            tail,
            |row, (start, key)| {
                row.push_bind(start.who.tenant.as_ref())
                    .push_bind(start.who.owner.as_ref())
                    .push_bind(key.key.as_str())
                    .push_bind(start.run.id.uuid());
                Ok(())
            },
        )
        .await?;
        Ok(())
    }

    async fn insert_runs(&mut self, rows: &[StoredRun<'_>]) -> Result<HashSet<Uuid>, StoreError> {
        let rows: Vec<_> = rows
            .iter()
            .map(columns::started)
            .collect::<Result<_, _>>()?;
        let head = format!("INSERT INTO runs ({}) ", names(&rows).join(", "));
        let tail = format!(" {}", columns::ONE_ACTIVE);
        let inserted = insert(self.connection, &head, &rows, &tail, bind_row).await?;
        Ok(inserted.into_iter().collect())
    }

    async fn insert_messages(&mut self, rows: &[(&Principal, &Message)]) -> Result<(), StoreError> {
        let head = "INSERT INTO messages (id, tenant, owner, session_id, parent_id, position, \
                    role, run_id, parts, finish_reason, created_at) ";
        insert(self.connection, head, rows, "", |row, (who, message)| {
            row.push_bind(message.id.uuid())
                .push_bind(who.tenant.as_ref())
                .push_bind(who.owner.as_ref())
                .push_bind(message.session_id.uuid())
                .push_bind(message.parent_id.map(|id| id.uuid()))
                .push_bind(message.position)
                .push_bind(<&str>::from(message.role))
                .push_bind(message.run_id.uuid())
                .push_bind(encode_parts(&message.parts)?)
                .push_bind(message.finish_reason.map(<&str>::from))
                .push_bind(Stamp(message.created_at));
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn set_heads(&mut self, rows: &[NewHead]) -> Result<(), StoreError> {
        let head = "WITH v (id, head, length, at, title, previous, turns) AS (";
        let tail = ") UPDATE sessions SET head_message_id = v.head, branch_length = v.length, \
                    updated_at = v.at, title = coalesce(sessions.title, v.title), \
                    turns = coalesce(v.turns, sessions.turns) FROM v WHERE sessions.id = v.id AND sessions.head_message_id IS v.previous";
        insert(self.connection, head, rows, tail, |row, new| {
            row.push_bind(new.session.uuid())
                .push_bind(new.head.map(|id| id.uuid()))
                .push_bind(new.branch_length)
                .push_bind(Stamp(new.at))
                .push_bind(new.title.as_deref())
                .push_bind(new.previous.map(|id| id.uuid()))
                .push_bind(new.turns);
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn begin_runs(&mut self, rows: &[(RunId, Timestamp)]) -> Result<(), StoreError> {
        let head = "WITH v (id, at) AS (";
        let tail = ") UPDATE runs SET status = 'RUNNING', started_at = v.at FROM v \
                    WHERE runs.id = v.id AND runs.status = 'QUEUED'";
        insert(self.connection, head, rows, tail, |row, (run, at)| {
            row.push_bind(run.uuid()).push_bind(Stamp(*at));
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn suspend_runs(&mut self, rows: &[(RunId, NodeId)]) -> Result<(), StoreError> {
        let head = "WITH v (id, node) AS (";
        let tail = ") UPDATE runs SET status = 'AWAITING_INPUT' FROM v \
                    WHERE runs.id = v.id AND runs.node_id = v.node AND runs.status = 'RUNNING'";
        insert(self.connection, head, rows, tail, |row, (run, node)| {
            row.push_bind(run.uuid()).push_bind(node.uuid());
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn insert_interrupts(
        &mut self,
        rows: &[(&Principal, &Interrupt)],
    ) -> Result<(), StoreError> {
        let head = "INSERT INTO interrupts (id, tenant, owner, run_id, session_id, tool_call_id, \
                    kind, tool, arguments, created_at, expires_at, asks) ";
        insert(self.connection, head, rows, "", |row, (who, interrupt)| {
            row.push_bind(interrupt.id.uuid())
                .push_bind(who.tenant.as_ref())
                .push_bind(who.owner.as_ref())
                .push_bind(interrupt.run_id.uuid())
                .push_bind(interrupt.session_id.uuid())
                .push_bind(interrupt.tool_call_id.uuid())
                .push_bind(stored_kind(interrupt))
                .push_bind(interrupt.tool.as_str())
                .push_bind(Json(&interrupt.arguments))
                .push_bind(Stamp(interrupt.created_at))
                .push_bind(Stamp(interrupt.expires_at))
                .push_bind(interrupt.question.as_ref().map(Json));
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn close_interrupts(&mut self, rows: &[&Interrupt]) -> Result<(), StoreError> {
        let head = "WITH v (id, resolution) AS (";
        let tail = ") UPDATE interrupts SET resolution = v.resolution FROM v \
                    WHERE interrupts.id = v.id AND interrupts.resolution IS NULL";
        insert(self.connection, head, rows, tail, |row, interrupt| {
            row.push_bind(interrupt.id.uuid())
                .push_bind(encode_resolution(interrupt)?);
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn end_runs(&mut self, rows: &[&FinishedRun]) -> Result<HashSet<Uuid>, StoreError> {
        let rows: Vec<_> = rows.iter().map(|finish| columns::ended(finish)).collect();
        let names = names(&rows);
        let head = format!("WITH v ({}) AS (", names.join(", "));
        let set = columns::assignments(&names);
        let tail = format!(") UPDATE runs {set} FROM v {}", columns::ENDS);
        let ended = insert(self.connection, &head, &rows, &tail, bind_row).await?;
        Ok(ended.into_iter().collect())
    }

    async fn insert_events(&mut self, rows: &[LogRow<'_>]) -> Result<HashSet<Uuid>, StoreError> {
        let head = "WITH v (run_id, first_sequence, last_sequence, tenant, owner, events, node_id, \
                    fence) AS (";
        let tail = format!(
            ") INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, owner, events) \
             SELECT run_id, first_sequence, last_sequence, tenant, owner, events FROM v \
             WHERE {FOLLOWS_LOG} AND {HAS_RUN} RETURNING run_id"
        );
        let recent = self.recent;
        let inserted = insert(self.connection, head, rows, &tail, |row, log| {
            let (first_sequence, events) = recent.with_unsorted(log)?;
            row.push_bind(log.run_id.uuid())
                .push_bind(first_sequence.cast_signed())
                .push_bind(log.last_sequence().cast_signed())
                .push_bind(log.who.tenant.as_ref())
                .push_bind(log.who.owner.as_ref())
                .push_bind(events)
                .push_bind(log.node.uuid())
                .push_bind(log.fence);
            Ok(())
        })
        .await?;
        let inserted: HashSet<_> = inserted.into_iter().collect();
        let refused = |row: &&LogRow<'_>| !inserted.contains(&row.run_id.uuid());
        let mut refused = rows.iter().filter(refused);
        self.is_outdated |= refused.any(|row| self.recent.knows(row.run_id));
        let sorted = rows
            .iter()
            .filter(|row| inserted.contains(&row.run_id.uuid()));
        let sorted = sorted.map(|row| (row.run_id, OpenLog::sorted(row)));
        self.sorted.extend(sorted);
        Ok(inserted)
    }
}
