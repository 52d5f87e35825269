//! Rows as both databases return them, and what they mean.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use sqlx::FromRow;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::types::{Json, Uuid};
use sqlx::{Database, Decode, Encode, Postgres, Sqlite, Type};

use crate::domain::time::Timestamp;
use crate::domain::{
    ActiveRun, Agent, AgentSpec, AgentVersion, Cost, File, Interrupt, Memory, Message, MessageId,
    ParentRun, Part, Principal, Resolved, Run, RunError, RunOptions, Session, Summary, Usage,
};

use super::{Kin, SessionUsage, StoreError};

/// A timestamp as each database keeps it: `timestamptz` in PostgreSQL, whole microseconds
/// since 1970 in SQLite, which has no type for time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp(pub(crate) Timestamp);

/// As SQLite keeps it.
impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let micros = i64::deserialize(deserializer)?;
        DateTime::from_timestamp_micros(micros)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{micros} is no timestamp")))
    }
}

impl Type<Sqlite> for Stamp {
    fn type_info() -> <Sqlite as Database>::TypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
}

impl<'r> Decode<'r, Sqlite> for Stamp {
    fn decode(value: <Sqlite as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Sqlite>>::decode(value)?;
        DateTime::from_timestamp_micros(micros)
            .map(Self)
            .ok_or_else(|| format!("{micros} is no timestamp").into())
    }
}

impl<'q> Encode<'q, Sqlite> for Stamp {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Sqlite>>::encode(self.0.timestamp_micros(), buffer)
    }
}

impl Type<Postgres> for Stamp {
    fn type_info() -> <Postgres as Database>::TypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Stamp {
    fn decode(value: <Postgres as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        <DateTime<Utc> as Decode<Postgres>>::decode(value).map(Self)
    }
}

impl<'q> Encode<'q, Postgres> for Stamp {
    fn encode_by_ref(
        &self,
        buffer: &mut <Postgres as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <DateTime<Utc> as Encode<Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

/// Columns of [`AgentRow`], from `agents a JOIN agent_versions v`.
pub(crate) const AGENT_COLUMNS: &str = "a.id, a.name, a.source, a.created_at, a.updated_at, \
    a.archived_at, v.id AS version_id, v.number, v.spec, v.created_at AS version_created_at";

#[derive(FromRow)]
pub(crate) struct AgentRow {
    id: Uuid,
    name: String,
    source: String,
    created_at: Stamp,
    updated_at: Stamp,
    archived_at: Option<Stamp>,
    version_id: Uuid,
    number: i32,
    spec: Json<AgentSpec>,
    version_created_at: Stamp,
}

impl TryFrom<AgentRow> for Agent {
    type Error = StoreError;

    fn try_from(row: AgentRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            source: known(&row.source, "agents.source")?,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            archived_at: row.archived_at.map(|at| at.0),
            current: AgentVersion {
                id: row.version_id.into(),
                agent_id: row.id.into(),
                number: row.number,
                spec: row.spec.0,
                created_at: row.version_created_at.0,
            },
        })
    }
}

/// Columns of [`VersionRow`].
pub(crate) const VERSION_COLUMNS: &str = "id, agent_id, number, spec, created_at";

#[derive(FromRow)]
pub(crate) struct VersionRow {
    id: Uuid,
    agent_id: Uuid,
    number: i32,
    spec: Json<AgentSpec>,
    created_at: Stamp,
}

impl From<VersionRow> for AgentVersion {
    fn from(row: VersionRow) -> Self {
        Self {
            id: row.id.into(),
            agent_id: row.agent_id.into(),
            number: row.number,
            spec: row.spec.0,
            created_at: row.created_at.0,
        }
    }
}

/// Columns of [`SessionRow`], from `sessions` by its own name. The active run is of the same
/// moment as the rest, because it is read by the same statement.
pub(crate) const SESSION_COLUMNS: &str = "id, agent_id, parent_run_id, title, metadata, head_message_id, \
    branch_length, enqueued_runs, turns, created_at, updated_at, deleted_at, \
    (SELECT r.id FROM runs r WHERE r.session_id = sessions.id \
     AND r.status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') AND NOT r.enqueued) AS active_run_id, \
    (SELECT e.last_sequence FROM runs r JOIN run_events e ON e.run_id = r.id \
     WHERE r.session_id = sessions.id AND r.status IN ('QUEUED', 'RUNNING', 'AWAITING_INPUT') \
     AND NOT r.enqueued ORDER BY e.first_sequence DESC LIMIT 1) AS active_last_sequence";

/// Columns of [`LockedSessionRow`].
pub(crate) const LOCKED_SESSION_COLUMNS: &str = "id, tenant, owner, agent_id, parent_run_id, title, metadata, \
    head_message_id, branch_length, enqueued_runs, turns, created_at, updated_at";

/// One row, or in JSON an array of [`SESSION_COLUMNS`].
#[derive(FromRow, Deserialize)]
pub(crate) struct SessionRow {
    id: Uuid,
    agent_id: Uuid,
    parent_run_id: Option<Uuid>,
    title: Option<String>,
    metadata: Json<serde_json::Value>,
    head_message_id: Option<Uuid>,
    branch_length: i32,
    enqueued_runs: i32,
    turns: i32,
    created_at: Stamp,
    updated_at: Stamp,
    deleted_at: Option<Stamp>,
    active_run_id: Option<Uuid>,
    active_last_sequence: Option<i64>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id.into(),
            agent_id: row.agent_id.into(),
            parent_run: row.parent_run_id.map(Into::into),
            title: row.title,
            metadata: row.metadata.0,
            head: row.head_message_id.map(Into::into),
            branch_length: row.branch_length,
            active_run: row.active_run_id.map(|id| ActiveRun {
                id: id.into(),
                last_sequence: row.active_last_sequence.unwrap_or(0).cast_unsigned(),
            }),
            enqueued_runs: row.enqueued_runs,
            turns: row.turns,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            deleted_at: row.deleted_at.map(|at| at.0),
        }
    }
}

/// A session that a transaction has to itself.
#[derive(FromRow)]
pub(crate) struct LockedSessionRow {
    id: Uuid,
    tenant: String,
    owner: String,
    agent_id: Uuid,
    parent_run_id: Option<Uuid>,
    title: Option<String>,
    metadata: Json<serde_json::Value>,
    head_message_id: Option<Uuid>,
    branch_length: i32,
    enqueued_runs: i32,
    turns: i32,
    created_at: Stamp,
    updated_at: Stamp,
}

/// A session that a transaction has to itself, with the principal it belongs to. Its active
/// run is not looked for.
pub(crate) struct LockedSession {
    pub(crate) who: Principal,
    pub(crate) session: Session,
}

impl From<LockedSessionRow> for LockedSession {
    fn from(row: LockedSessionRow) -> Self {
        Self {
            who: Principal::new(&row.tenant, &row.owner, "server"),
            session: Session {
                id: row.id.into(),
                agent_id: row.agent_id.into(),
                parent_run: row.parent_run_id.map(Into::into),
                title: row.title,
                metadata: row.metadata.0,
                head: row.head_message_id.map(Into::into),
                branch_length: row.branch_length,
                active_run: None,
                enqueued_runs: row.enqueued_runs,
                turns: row.turns,
                created_at: row.created_at.0,
                updated_at: row.updated_at.0,
                deleted_at: None,
            },
        }
    }
}

/// Columns of [`MemoryRow`].
pub(crate) const MEMORY_COLUMNS: &str = "text, saved_at";

#[derive(FromRow)]
pub(crate) struct MemoryRow {
    text: String,
    saved_at: Stamp,
}

impl From<MemoryRow> for Memory {
    fn from(row: MemoryRow) -> Self {
        Self {
            text: row.text,
            saved_at: row.saved_at.0,
        }
    }
}

pub(crate) const FILE_COLUMNS: &str = "id, name, mime_type, content";

#[derive(FromRow)]
pub(crate) struct FileRow {
    id: Uuid,
    name: Option<String>,
    mime_type: String,
    content: Vec<u8>,
}

impl From<FileRow> for File {
    fn from(row: FileRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            mime_type: row.mime_type,
            content: row.content.into(),
        }
    }
}

/// Columns of [`SummaryRow`], from `summaries c`.
pub(crate) const SUMMARY_COLUMNS: &str = "c.session_id, c.message_id, c.position, c.text";

#[derive(FromRow)]
pub(crate) struct SummaryRow {
    session_id: Uuid,
    message_id: Uuid,
    position: i32,
    text: String,
}

impl From<SummaryRow> for Summary {
    fn from(row: SummaryRow) -> Self {
        Self {
            session_id: row.session_id.into(),
            message_id: row.message_id.into(),
            position: row.position,
            text: row.text,
        }
    }
}

/// Columns of [`InterruptRow`], from `interrupts i`.
pub(crate) const INTERRUPT_COLUMNS: &str = "i.id, i.tenant, i.owner, i.run_id, i.session_id, \
    i.tool_call_id, i.kind, i.tool, i.arguments, i.created_at, i.expires_at, i.resolution";

#[derive(FromRow)]
pub(crate) struct InterruptRow {
    id: Uuid,
    tenant: String,
    owner: String,
    run_id: Uuid,
    session_id: Uuid,
    tool_call_id: Uuid,
    kind: String,
    tool: String,
    arguments: Json<serde_json::Value>,
    created_at: Stamp,
    expires_at: Stamp,
    resolution: Option<Json<Resolved>>,
}

impl InterruptRow {
    /// The principal it belongs to, for work the server does on its behalf.
    pub(crate) fn principal(&self) -> Principal {
        Principal::new(&self.tenant, &self.owner, "server")
    }
}

impl TryFrom<InterruptRow> for Interrupt {
    type Error = StoreError;

    fn try_from(row: InterruptRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            kind: known(&row.kind, "interrupts.kind")?,
            run_id: row.run_id.into(),
            session_id: row.session_id.into(),
            tool_call_id: row.tool_call_id.into(),
            tool: row.tool,
            arguments: row.arguments.0,
            created_at: row.created_at.0,
            expires_at: row.expires_at.0,
            resolution: row.resolution.map(|resolved| resolved.0),
        })
    }
}

/// Writes an interrupt's answer as its row keeps it.
pub(crate) fn encode_resolution(interrupt: &Interrupt) -> Result<String, StoreError> {
    serde_json::to_string(&interrupt.resolution)
        .map_err(|error| corrupt("interrupts.resolution", &error.to_string()))
}

/// Columns of [`MessageRow`], from `messages m`.
pub(crate) const MESSAGE_COLUMNS: &str = "m.id, m.session_id, m.parent_id, m.position, m.role, \
    m.run_id, m.parts, m.finish_reason, m.created_at";

/// One row, or in JSON an array of [`MESSAGE_COLUMNS`].
#[derive(FromRow, Deserialize)]
pub(crate) struct MessageRow {
    id: Uuid,
    session_id: Uuid,
    parent_id: Option<Uuid>,
    position: i32,
    role: String,
    run_id: Uuid,
    parts: Json<Vec<Part>>,
    finish_reason: Option<String>,
    created_at: Stamp,
}

impl TryFrom<MessageRow> for Message {
    type Error = StoreError;

    fn try_from(row: MessageRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            session_id: row.session_id.into(),
            parent_id: row.parent_id.map(Into::into),
            position: row.position,
            role: known(&row.role, "messages.role")?,
            run_id: row.run_id.into(),
            parts: row.parts.0,
            finish_reason: known_option(row.finish_reason, "messages.finish_reason")?,
            created_at: row.created_at.0,
        })
    }
}

/// A message and which of the wanted branches it is part of, counted from 0.
#[derive(FromRow)]
pub(crate) struct BranchRow {
    branch: i64,
    #[sqlx(flatten)]
    message: MessageRow,
}

/// Sorts messages, which are one JSON value, into the `count` branches that were asked for.
pub(crate) fn sorted_branches(
    json: Option<&str>,
    count: usize,
) -> Result<Vec<Vec<Message>>, StoreError> {
    let rows: Vec<(usize, MessageRow)> = serde_json::from_str(json.unwrap_or("[]"))
        .map_err(|error| corrupt("messages", &error.to_string()))?;
    let mut branches = vec![Vec::new(); count];
    for (branch, row) in rows {
        if let Some(branch) = branches.get_mut(branch) {
            branch.push(Message::try_from(row)?);
        }
    }
    for branch in &mut branches {
        branch.sort_unstable_by_key(|message: &Message| message.position);
    }
    Ok(branches)
}

/// Sorts messages into the `count` branches that were asked for.
pub(crate) fn by_branch(
    rows: Vec<BranchRow>,
    count: usize,
) -> Result<Vec<Vec<Message>>, StoreError> {
    let mut branches = vec![Vec::new(); count];
    for row in rows {
        let branch = usize::try_from(row.branch)
            .ok()
            .and_then(|at| branches.get_mut(at));
        if let Some(branch) = branch {
            branch.push(Message::try_from(row.message)?);
        }
    }
    Ok(branches)
}

/// A message that is below another one, or beside it.
#[derive(FromRow)]
pub(crate) struct KinRow {
    below: i32,
    relative: Uuid,
    id: Uuid,
}

/// Sorts messages into the kin that was asked for.
pub(crate) fn by_kin(rows: Vec<KinRow>, kin: &[Kin]) -> Vec<Vec<MessageId>> {
    let mut found: HashMap<Kin, Vec<MessageId>> = HashMap::new();
    for row in rows {
        let relative = row.relative.into();
        let kin = match row.below {
            0 => Kin::Beside(relative),
            _ => Kin::Below(relative),
        };
        found.entry(kin).or_default().push(row.id.into());
    }
    kin.iter()
        .map(|kin| found.get(kin).cloned().unwrap_or_default())
        .collect()
}

/// Columns of [`RunRow`], from `runs r`.
pub(crate) const RUN_COLUMNS: &str = "r.id, r.session_id, r.agent_id, r.agent_version_id, \
    r.model, r.status, r.finish_reason, r.error_code, r.error_message, r.error_retryable, \
    r.input_tokens, r.output_tokens, r.cached_input_tokens, r.reasoning_tokens, \
    r.cost_nanos, r.input_message_id, r.output_message_id, r.created_at, r.started_at, r.finished_at, \
    r.log_compacted_at, r.enqueued, r.turn, r.options, r.parent_run_id, r.depth, r.tenant, r.owner, \
    (SELECT e.last_sequence FROM run_events e WHERE e.run_id = r.id \
     ORDER BY e.first_sequence DESC LIMIT 1) AS last_sequence";

#[derive(FromRow)]
pub(crate) struct RunRow {
    id: Uuid,
    session_id: Uuid,
    agent_id: Uuid,
    agent_version_id: Uuid,
    model: String,
    status: String,
    finish_reason: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    error_retryable: Option<bool>,
    input_tokens: i64,
    output_tokens: i64,
    cached_input_tokens: i64,
    reasoning_tokens: i64,
    cost_nanos: Option<i64>,
    input_message_id: Uuid,
    output_message_id: Uuid,
    created_at: Stamp,
    started_at: Option<Stamp>,
    finished_at: Option<Stamp>,
    log_compacted_at: Option<Stamp>,
    enqueued: bool,
    turn: Option<i32>,
    options: Option<Json<RunOptions>>,
    parent_run_id: Option<Uuid>,
    depth: i32,
    tenant: String,
    owner: String,
    last_sequence: Option<i64>,
}

impl RunRow {
    /// The principal the run belongs to, for work the server does on its behalf.
    pub(crate) fn principal(&self) -> Principal {
        Principal::new(&self.tenant, &self.owner, "server")
    }
}

impl TryFrom<RunRow> for Run {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        let error = match (row.error_code, row.error_message) {
            (Some(code), Some(message)) => Some(RunError {
                code: known(&code, "runs.error_code")?,
                message,
                retryable: row.error_retryable.unwrap_or(false),
            }),
            _ => None,
        };
        Ok(Self {
            id: row.id.into(),
            session_id: row.session_id.into(),
            agent_id: row.agent_id.into(),
            agent_version_id: row.agent_version_id.into(),
            model: row.model,
            status: known(&row.status, "runs.status")?,
            enqueued: row.enqueued,
            turn: row.turn,
            finish_reason: known_option(row.finish_reason, "runs.finish_reason")?,
            error,
            usage: Usage {
                input_tokens: row.input_tokens.cast_unsigned(),
                output_tokens: row.output_tokens.cast_unsigned(),
                cached_input_tokens: row.cached_input_tokens.cast_unsigned(),
                reasoning_tokens: row.reasoning_tokens.cast_unsigned(),
            },
            parent: row.parent_run_id.map(|run| ParentRun {
                run: run.into(),
                depth: row.depth.cast_unsigned(),
            }),
            cost: match row.finished_at {
                None => Some(Cost::ZERO),
                Some(_) => row.cost_nanos.map(Cost::from_nanos),
            },
            options: row.options.map(|options| options.0).unwrap_or_default(),
            input_message_id: row.input_message_id.into(),
            output_message_id: row.output_message_id.into(),
            last_sequence: row.last_sequence.unwrap_or(0).cast_unsigned(),
            created_at: row.created_at.0,
            started_at: row.started_at.map(|at| at.0),
            finished_at: row.finished_at.map(|at| at.0),
            log_compacted_at: row.log_compacted_at.map(|at| at.0),
        })
    }
}

/// What the ended runs of a session have used together.
#[derive(FromRow)]
pub(crate) struct SessionUsageRow {
    session_id: Uuid,
    input_tokens: i64,
    output_tokens: i64,
    cached_input_tokens: i64,
    reasoning_tokens: i64,
    cost_nanos: Option<i64>,
}

impl From<SessionUsageRow> for SessionUsage {
    fn from(row: SessionUsageRow) -> Self {
        Self {
            session: row.session_id.into(),
            usage: Usage {
                input_tokens: row.input_tokens.cast_unsigned(),
                output_tokens: row.output_tokens.cast_unsigned(),
                cached_input_tokens: row.cached_input_tokens.cast_unsigned(),
                reasoning_tokens: row.reasoning_tokens.cast_unsigned(),
            },
            cost: row.cost_nanos.map(Cost::from_nanos),
        }
    }
}

/// Writes a message's parts as its row keeps them.
pub(crate) fn encode_parts(parts: &[Part]) -> Result<String, StoreError> {
    serde_json::to_string(parts).map_err(|error| corrupt("messages.parts", &error.to_string()))
}

/// Writes a run's options as its row keeps them: most have none.
pub(crate) fn encode_options(options: &RunOptions) -> Option<Json<&RunOptions>> {
    (*options != RunOptions::default()).then_some(Json(options))
}

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
