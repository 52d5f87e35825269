//! Rows of runs.

use serde::{Deserialize, Serialize};
use sqlx::types::{Json, Uuid};
use sqlx_macros::FromRow;

use crate::dialect::Dialect;
use crate::{SessionUsage, StoreError, TakenRun};
use talkgraph_domain::{Cost, ParentRun, Principal, Run, RunError, RunOptions, Usage};

use crate::rows::{Owned, Stamp, corrupt, known, known_option};

/// Declares a row and the names of its columns, so that both are one list.
macro_rules! columns {
    ($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(FromRow)]
        struct $name { $($field: $type,)* }

        impl $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
}

columns! {
    /// The columns of a run.
    struct StoredRow {
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
        cost_nanos: Option<i64>,
        input_message_id: Uuid,
        output_message_id: Uuid,
        created_at: Stamp,
        started_at: Option<Stamp>,
        finished_at: Option<Stamp>,
        log_compacted_at: Option<Stamp>,
        enqueued: bool,
        turn: Option<i32>,
        options: Option<Json<StoredOptions>>,
        parent_run_id: Option<Uuid>,
        depth: i32,
        fence: i64,
        tenant: String,
        owner: String,
    }
}

columns! {
    /// Tokens of one or several runs.
    struct UsageRow {
        input_tokens: i64,
        output_tokens: i64,
        cached_input_tokens: i64,
        cache_write_input_tokens: i64,
        cache_write_1h_input_tokens: i64,
        reasoning_tokens: i64,
    }
}

/// Columns of [`RunRow`], from `runs r`.
pub(crate) fn run_columns<DB: Dialect>() -> String {
    let columns = StoredRow::COLUMNS.iter().chain(UsageRow::COLUMNS);
    let columns: String = columns.map(|name| format!("r.{name}, ")).collect();
    format!("{columns}{} AS last_sequence", DB::LAST_SEQUENCE)
}

/// Sums of the columns of [`UsageRow`].
pub(crate) fn usage_sums() -> String {
    let sum = |name: &&str| format!("CAST(sum({name}) AS bigint) AS {name}");
    let sums: Vec<_> = UsageRow::COLUMNS.iter().map(sum).collect();
    sums.join(", ")
}

/// Columns of [`TakenRow`], from `runs r`.
pub(crate) fn taken_columns<DB: Dialect>() -> String {
    let run = run_columns::<DB>();
    format!("{run}, r.unclean_ends, r.is_held, r.alone_since, r.taken_from")
}

/// A run that was taken over, with the record of unclean ends.
#[derive(FromRow)]
pub(crate) struct TakenRow {
    #[sqlx(flatten)]
    run: RunRow,
    unclean_ends: i32,
    is_held: bool,
    alone_since: Option<Stamp>,
    taken_from: Option<Uuid>,
}

impl TryFrom<TakenRow> for TakenRun {
    type Error = StoreError;

    fn try_from(row: TakenRow) -> Result<Self, StoreError> {
        Ok(Self {
            who: row.run.principal(),
            unclean_ends: row.unclean_ends.cast_unsigned(),
            is_held: row.is_held,
            alone_since: row.alone_since.map(|at| at.0),
            taken_from: row.taken_from.map(Into::into),
            run: row.run.try_into()?,
        })
    }
}

/// A run with the end of its log.
#[derive(FromRow)]
pub(crate) struct RunRow {
    #[sqlx(flatten)]
    stored: StoredRow,
    #[sqlx(flatten)]
    usage: UsageRow,
    last_sequence: Option<i64>,
}

impl Owned for RunRow {
    fn principal(&self) -> Principal {
        Principal::new(&self.stored.tenant, &self.stored.owner, "server")
    }
}

impl TryFrom<RunRow> for Run {
    type Error = StoreError;

    fn try_from(run: RunRow) -> Result<Self, StoreError> {
        let row = run.stored;
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
            usage: run.usage.into(),
            parent: row.parent_run_id.map(|run| ParentRun {
                run: run.into(),
                depth: row.depth.cast_unsigned(),
            }),
            cost: match row.finished_at {
                None => Some(Cost::ZERO),
                Some(_) => row.cost_nanos.map(Cost::from_nanos),
            },
            options: match row.options {
                Some(Json(options)) => options.decode()?,
                None => RunOptions::default(),
            },
            input_message_id: row.input_message_id.into(),
            output_message_id: row.output_message_id.into(),
            last_sequence: run.last_sequence.unwrap_or(0).cast_unsigned(),
            created_at: row.created_at.0,
            started_at: row.started_at.map(|at| at.0),
            finished_at: row.finished_at.map(|at| at.0),
            log_compacted_at: row.log_compacted_at.map(|at| at.0),
            fence: row.fence,
        })
    }
}

impl From<UsageRow> for Usage {
    fn from(row: UsageRow) -> Self {
        Self {
            input_tokens: row.input_tokens.cast_unsigned(),
            output_tokens: row.output_tokens.cast_unsigned(),
            cached_input_tokens: row.cached_input_tokens.cast_unsigned(),
            cache_write_input_tokens: row.cache_write_input_tokens.cast_unsigned(),
            cache_write_1h_input_tokens: row.cache_write_1h_input_tokens.cast_unsigned(),
            reasoning_tokens: row.reasoning_tokens.cast_unsigned(),
        }
    }
}

/// The total usage of a session's ended runs.
#[derive(FromRow)]
pub(crate) struct SessionUsageRow {
    session_id: Uuid,
    #[sqlx(flatten)]
    usage: UsageRow,
    cost_nanos: Option<i64>,
}

impl From<SessionUsageRow> for SessionUsage {
    fn from(row: SessionUsageRow) -> Self {
        Self {
            session: row.session_id.into(),
            usage: row.usage.into(),
            cost: row.cost_nanos.map(Cost::from_nanos),
        }
    }
}

/// A run's options as stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredOptions {
    #[serde(flatten)]
    options: RunOptions,
    /// The options once more, as text: PostgreSQL's `jsonb` sorts the keys of the schemas in them,
    /// and a model answers in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordered: Option<String>,
}

impl StoredOptions {
    fn decode(self) -> Result<RunOptions, StoreError> {
        match self.ordered {
            None => Ok(self.options),
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| corrupt("runs.options", &error.to_string())),
        }
    }
}

/// Encodes a run's options: most have none.
pub(crate) fn encode_options(
    options: &RunOptions,
) -> Result<Option<Json<StoredOptions>>, StoreError> {
    if *options == RunOptions::default() {
        return Ok(None);
    }
    let has_order = options.output_schema.is_some()
        || !options.client_tools.is_empty()
        || !options.variables.is_empty();
    let text = has_order
        .then(|| serde_json::to_string(options))
        .transpose();
    Ok(Some(Json(StoredOptions {
        options: options.clone(),
        ordered: text.map_err(|error| corrupt("runs.options", &error.to_string()))?,
    })))
}
