//! The statements of a group commit that write many rows. They travel as one array for each column,
//! so that a statement has one text and one plan for any number of rows.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::commit::cells::names;
use crate::commit::group::{FinishedRun, LogRow};
use crate::commit::{NewHead, Statements, StoredRun};
use crate::interrupts::rows::{encode_question, encode_resolution, stored_kind};
use crate::keys::keyed;
use crate::log::{FOLLOWS_LOG, HAS_RUN, encode_events};
use crate::messages::rows::encode_parts;
use crate::runs::columns;
use crate::{NewRun, StoreError};
use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{Interrupt, Message, NodeId, Principal, RunId, Session};

use super::arrays::{push_arrays, selected};
use super::dialect::micros;
use super::pooler::has_names;

/// A transaction.
pub(super) struct PostgresStatements<'c>(pub(super) &'c mut PgConnection);

/// One column of the rows.
fn column<'r, T, V>(rows: &'r [T], value: impl FnMut(&'r T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// One column of the rows, whose encoding may fail.
fn written<T, V>(
    rows: &[T],
    value: impl FnMut(&T) -> Result<V, StoreError>,
) -> Result<Vec<V>, StoreError> {
    rows.iter().map(value).collect()
}

fn ids(rows: Vec<(Uuid,)>) -> HashSet<Uuid> {
    rows.into_iter().map(|(id,)| id).collect()
}

#[async_trait]
impl Statements for PostgresStatements<'_> {
    type Db = Postgres;

    fn connection(&mut self) -> &mut PgConnection {
        self.0
    }

    async fn insert_sessions(&mut self, rows: &[(&Principal, &Session)]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sessions (id, tenant, owner, agent_id, title, metadata,
               head_message_id, branch_length, turns, created_at, updated_at,
               parent_run_id)
             SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[],
               $6::jsonb[], $7::uuid[], $8::integer[], $9::integer[], $10::timestamptz[],
               $11::timestamptz[], $12::uuid[])",
        )
        .bind(column(rows, |(_, session)| session.id.uuid()))
        .bind(column(rows, |(who, _)| who.tenant.as_ref()))
        .bind(column(rows, |(who, _)| who.owner.as_ref()))
        .bind(column(rows, |(_, session)| session.agent_id.uuid()))
        .bind(column(rows, |(_, session)| session.title.as_deref()))
        .bind(column(rows, |(_, session)| Json(&session.metadata)))
        .bind(column(rows, |(_, session)| {
            session.head.map(|id| id.uuid())
        }))
        .bind(column(rows, |(_, session)| session.branch_length))
        .bind(column(rows, |(_, session)| session.turns))
        .bind(column(rows, |(_, session)| session.created_at))
        .bind(column(rows, |(_, session)| session.updated_at))
        .bind(column(rows, |(_, session)| {
            session.parent_run.map(|run| run.uuid())
        }))
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn claim_keys(&mut self, rows: &[&NewRun]) -> Result<HashSet<Uuid>, StoreError> {
        let rows = keyed(rows);
        let claimed = sqlx::query_as(
            "INSERT INTO idempotency_keys (tenant, owner, key, fingerprint, run_id, created_at,
               expires_at)
             SELECT v.tenant, v.owner, v.key, v.fingerprint, v.run_id, v.created_at,
               statement_timestamp() + v.lifetime * interval '1 microsecond'
             FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::uuid[],
               $6::timestamptz[], $7::bigint[])
               AS v (tenant, owner, key, fingerprint, run_id, created_at, lifetime)
             ON CONFLICT (tenant, owner, key) DO UPDATE SET
               fingerprint = excluded.fingerprint, run_id = excluded.run_id,
               created_at = excluded.created_at, expires_at = excluded.expires_at
             WHERE idempotency_keys.expires_at <= statement_timestamp()
             RETURNING run_id",
        )
        .bind(column(&rows, |(start, _)| start.who.tenant.as_ref()))
        .bind(column(&rows, |(start, _)| start.who.owner.as_ref()))
        .bind(column(&rows, |(_, key)| key.key.as_str()))
        .bind(column(&rows, |(_, key)| key.fingerprint.as_slice()))
        .bind(column(&rows, |(start, _)| start.run.id.uuid()))
        .bind(column(&rows, |(start, _)| start.run.created_at))
        .bind(column(&rows, |(_, key)| micros(key.lifetime)))
        .persistent(has_names())
        .fetch_all(&mut *self.0)
        .await?;
        Ok(ids(claimed))
    }

    async fn release_keys(&mut self, rows: &[&NewRun]) -> Result<(), StoreError> {
        let rows = keyed(rows);
        sqlx::query(
            "DELETE FROM idempotency_keys WHERE (tenant, owner, key, run_id) IN (
               SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::uuid[]))",
        )
        .bind(column(&rows, |(start, _)| start.who.tenant.as_ref()))
        .bind(column(&rows, |(start, _)| start.who.owner.as_ref()))
        .bind(column(&rows, |(_, key)| key.key.as_str()))
        .bind(column(&rows, |(start, _)| start.run.id.uuid()))
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn insert_runs(&mut self, rows: &[StoredRun<'_>]) -> Result<HashSet<Uuid>, StoreError> {
        let rows = written(rows, columns::started)?;
        let mut query = QueryBuilder::new("INSERT INTO runs (");
        query.push(names(&rows).join(", ")).push(") SELECT ");
        query.push(selected(&rows)).push(" FROM ");
        push_arrays(&mut query, &rows);
        query.push(columns::ONE_ACTIVE);
        let inserted = query.build_query_as().persistent(has_names());
        Ok(ids(inserted.fetch_all(&mut *self.0).await?))
    }

    async fn insert_messages(&mut self, rows: &[(&Principal, &Message)]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO messages (id, tenant, owner, session_id, parent_id, position, role,
               run_id, parts, finish_reason, created_at)
             SELECT v.id, v.tenant, v.owner, v.session_id, v.parent_id, v.position, v.role,
               v.run_id, v.parts::json, v.finish_reason, v.created_at
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[],
               $6::integer[], $7::text[], $8::uuid[], $9::text[], $10::text[], $11::timestamptz[])
               AS v (id, tenant, owner, session_id, parent_id, position, role, run_id, parts,
                 finish_reason, created_at)",
        )
        .bind(column(rows, |(_, message)| message.id.uuid()))
        .bind(column(rows, |(who, _)| who.tenant.as_ref()))
        .bind(column(rows, |(who, _)| who.owner.as_ref()))
        .bind(column(rows, |(_, message)| message.session_id.uuid()))
        .bind(column(rows, |(_, message)| {
            message.parent_id.map(|id| id.uuid())
        }))
        .bind(column(rows, |(_, message)| message.position))
        .bind(column(rows, |(_, message)| <&str>::from(message.role)))
        .bind(column(rows, |(_, message)| message.run_id.uuid()))
        .bind(written(rows, |(_, message)| encode_parts(&message.parts))?)
        .bind(column(rows, |(_, message)| {
            message.finish_reason.map(<&str>::from)
        }))
        .bind(column(rows, |(_, message)| message.created_at))
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn set_heads(&mut self, rows: &[NewHead]) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE sessions SET head_message_id = v.head, branch_length = v.length,
               updated_at = v.at, title = coalesce(sessions.title, v.title),
               turns = coalesce(v.turns, sessions.turns)
             FROM UNNEST($1::uuid[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::text[],
               $6::uuid[], $7::integer[]) AS v (id, head, length, at, title, previous, turns)
             WHERE sessions.id = v.id AND sessions.head_message_id IS NOT DISTINCT FROM v.previous",
        )
        .bind(column(rows, |new| new.session.uuid()))
        .bind(column(rows, |new| new.head.map(|id| id.uuid())))
        .bind(column(rows, |new| new.branch_length))
        .bind(column(rows, |new| new.at))
        .bind(column(rows, |new| new.title.as_deref()))
        .bind(column(rows, |new| new.previous.map(|id| id.uuid())))
        .bind(column(rows, |new| new.turns))
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn begin_runs(&mut self, rows: &[(RunId, Timestamp)]) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE runs SET status = 'RUNNING', started_at = v.at
             FROM UNNEST($1::uuid[], $2::timestamptz[]) AS v (id, at)
             WHERE runs.id = v.id AND runs.status = 'QUEUED'",
        )
        .bind(column(rows, |(run, _)| run.uuid()))
        .bind(column(rows, |(_, at)| *at))
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn suspend_runs(&mut self, rows: &[(RunId, NodeId)]) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE runs SET status = 'AWAITING_INPUT'
             FROM UNNEST($1::uuid[], $2::uuid[]) AS v (id, node)
             WHERE runs.id = v.id AND runs.node_id = v.node AND runs.status = 'RUNNING'",
        )
        .bind(column(rows, |(run, _)| run.uuid()))
        .bind(column(rows, |(_, node)| node.uuid()))
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn insert_interrupts(
        &mut self,
        rows: &[(&Principal, &Interrupt)],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO interrupts (id, tenant, owner, run_id, session_id, tool_call_id, kind,
               tool, arguments, created_at, expires_at, asks)
             SELECT v.id, v.tenant, v.owner, v.run_id, v.session_id, v.tool_call_id, v.kind,
               v.tool, v.arguments::json, v.created_at, v.expires_at, v.asks::json
             FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[],
               $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
               $12::text[])
               AS v (id, tenant, owner, run_id, session_id, tool_call_id, kind, tool, arguments,
                 created_at, expires_at, asks)",
        )
        .bind(column(rows, |(_, interrupt)| interrupt.id.uuid()))
        .bind(column(rows, |(who, _)| who.tenant.as_ref()))
        .bind(column(rows, |(who, _)| who.owner.as_ref()))
        .bind(column(rows, |(_, interrupt)| interrupt.run_id.uuid()))
        .bind(column(rows, |(_, interrupt)| interrupt.session_id.uuid()))
        .bind(column(rows, |(_, interrupt)| interrupt.tool_call_id.uuid()))
        .bind(column(rows, |(_, interrupt)| stored_kind(interrupt)))
        .bind(column(rows, |(_, interrupt)| interrupt.tool.as_str()))
        .bind(column(rows, |(_, interrupt)| {
            interrupt.arguments.to_string()
        }))
        .bind(column(rows, |(_, interrupt)| interrupt.created_at))
        .bind(column(rows, |(_, interrupt)| interrupt.expires_at))
        .bind(written(rows, |(_, interrupt)| encode_question(interrupt))?)
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn close_interrupts(&mut self, rows: &[&Interrupt]) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE interrupts SET resolution = v.resolution::json
             FROM UNNEST($1::uuid[], $2::text[]) AS v (id, resolution)
             WHERE interrupts.id = v.id AND interrupts.resolution IS NULL",
        )
        .bind(column(rows, |interrupt| interrupt.id.uuid()))
        .bind(written(rows, |interrupt| encode_resolution(interrupt))?)
        .persistent(has_names())
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    async fn end_runs(&mut self, rows: &[&FinishedRun]) -> Result<HashSet<Uuid>, StoreError> {
        let rows = column(rows, |finish| columns::ended(finish));
        let mut query = QueryBuilder::new("UPDATE runs ");
        query.push(columns::assignments(&names(&rows)));
        query.push(" FROM ");
        push_arrays(&mut query, &rows);
        query.push(columns::ENDS);
        let ended = query.build_query_as().persistent(has_names());
        Ok(ids(ended.fetch_all(&mut *self.0).await?))
    }

    async fn insert_events(&mut self, rows: &[LogRow<'_>]) -> Result<HashSet<Uuid>, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new(
            "INSERT INTO run_events (run_id, first_sequence, last_sequence, tenant, owner, events)
             SELECT v.run_id, v.first_sequence, v.last_sequence, v.tenant, v.owner, v.events::json
             FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[],
               $6::text[], $7::uuid[], $8::bigint[])
               AS v (run_id, first_sequence, last_sequence, tenant, owner, events, node_id,
                 fence)
             WHERE ",
        );
        query.push(FOLLOWS_LOG).push(" AND ").push(HAS_RUN);
        query.push(" RETURNING run_id");
        let inserted = sqlx::query_as(query.into_sql())
            .bind(column(rows, |row| row.run_id.uuid()))
            .bind(column(rows, |row| row.first_sequence().cast_signed()))
            .bind(column(rows, |row| row.last_sequence().cast_signed()))
            .bind(column(rows, |row| row.who.tenant.as_ref()))
            .bind(column(rows, |row| row.who.owner.as_ref()))
            .bind(written(rows, |row| encode_events(&row.events))?)
            .bind(column(rows, |row| row.node.uuid()))
            .bind(column(rows, |row| row.fence))
            .persistent(has_names())
            .fetch_all(&mut *self.0)
            .await?;
        Ok(ids(inserted))
    }
}
