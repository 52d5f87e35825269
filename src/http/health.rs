//! Health checks. Liveness means that no thread is stuck; readiness means that the server can
//! accept a run.
//!
//! Readiness performs a write of its own, like a run, rather than asking the database for its
//! state. The database is checked at most once a second, for any number of requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Server;
use super::caller::Caller;
use super::error::Refusal;
use talkgraph_domain::Scope;
use talkgraph_store::{SharedStore, StoreError};
use talkgraph_tools::{ServerState, ToolRegistry};

/// The time for which a check of the database is valid.
const FRESH: Duration = Duration::from_secs(1);

/// The latest state of the database, as part of readiness.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<Checked>>);

#[derive(Debug, Clone, Copy)]
struct Checked {
    at: Instant,
    took: Duration,
    /// The error of each part; `None` if it is well.
    database: Option<Ill>,
    writer: Option<Ill>,
    tables: Option<Ill>,
}

/// The error of a part, in words for any reader; the log has the full error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ill {
    FileGone,
    Timeout,
    Failed,
}

impl Ill {
    fn reason(self) -> &'static str {
        match self {
            Self::FileGone => "DATABASE_FILE_GONE",
            Self::Timeout => "TIMEOUT",
            Self::Failed => "FAILED",
        }
    }
}

impl Readiness {
    /// Returns the last check if it is fresh, or a new one that all concurrent callers share.
    async fn check(&self, store: &SharedStore, limit: Duration) -> Checked {
        let mut last = self.0.lock().await;
        if let Some(checked) = last.filter(|checked| checked.at.elapsed() < FRESH) {
            return checked;
        }
        let begun = Instant::now();
        let (database, writer, tables) = tokio::join!(
            timeout(limit, store.ping()),
            timeout(limit, store.heartbeat()),
            timeout(limit, store.check_tables()),
        );
        let has_lost_file = store.health().has_lost_file();
        let ill = |outcome: Result<Result<(), StoreError>, _>| match outcome {
            Ok(Ok(())) => None,
            _ if has_lost_file => Some(Ill::FileGone),
            Ok(Err(error)) => {
                store.health().outage().failed(&error);
                Some(Ill::Failed)
            }
            Err(_) => Some(Ill::Timeout),
        };
        let checked = Checked {
            database: ill(database),
            writer: ill(writer),
            tables: ill(tables),
            took: begun.elapsed(),
            at: Instant::now(),
        };
        *last = Some(checked);
        checked
    }
}

/// Reports whether some threads are stuck; with all threads stuck there is no response.
pub(super) async fn live() -> (StatusCode, Json<Value>) {
    match talkgraph_watchdog::is_stuck() {
        false => (StatusCode::OK, Json(json!({ "status": "live" }))),
        true => {
            let body = json!({ "status": "stuck" });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

pub(super) async fn ready(
    State(server): State<Arc<Server>>,
    caller: Result<Caller, Refusal>,
) -> (StatusCode, Json<Value>) {
    let serving = server.ready.load(Ordering::Acquire);
    let limit = server.transport.ready_timeout;
    let checked = server.readiness.check(&server.store, limit).await;
    let health = server.store.health();
    let oldest_wait = health.oldest_wait();
    // A recent heartbeat does not exclude a write that hangs since.
    let waits = (oldest_wait > limit).then_some(Ill::Timeout);
    let writer = checked.writer.or(waits);
    let database = [checked.database, writer, checked.tables];
    let database = database.iter().all(Option::is_none);
    let model = server.models.are_ready();
    let tools = ToolServers::of(&server.tools);
    let ready = serving && database && model && tools.ok;
    let mut body = json!({
        "status": if ready { "ready" } else { "not ready" },
        "serving": serving,
        "database": database,
        "model": model,
        "parts": {
            "database": part(checked.database),
            "writer": part(writer),
            "tables": part(checked.tables),
            "tools": tools.part(),
        },
        "oldestWriteMs": ms(oldest_wait),
        "lastCommitMs": health.since_commit().map(ms),
        "checkTookMs": ms(checked.took),
        "checkedMsAgo": ms(checked.at.elapsed()),
    });
    if is_operator(&caller) {
        count(&server, &mut body);
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}

/// The state of the MCP servers, as part of readiness.
pub struct ToolReadiness {
    tools: Arc<ToolRegistry>,
    wait: Duration,
    started: Instant,
}

impl ToolReadiness {
    /// Creates the state of a server that starts now and waits at most `wait` for MCP servers that
    /// are starting.
    pub fn new(tools: Arc<ToolRegistry>, wait: Duration) -> Self {
        Self {
            tools,
            wait,
            started: Instant::now(),
        }
    }
}

/// The current state of the MCP servers. Servers that are starting are awaited for a limited time,
/// and a missing one counts only if it is required.
struct ToolServers {
    ok: bool,
    starting: Vec<Arc<str>>,
    missing: Vec<Arc<str>>,
}

impl ToolServers {
    fn of(readiness: &ToolReadiness) -> Self {
        let servers = readiness.tools.servers();
        let (starting, missing): (Vec<_>, Vec<_>) = servers
            .missing()
            .into_iter()
            .partition(|(_, state)| *state == ServerState::Starting);
        let waits = !starting.is_empty() && readiness.started.elapsed() < readiness.wait;
        let names = |servers: Vec<(Arc<str>, _)>| servers.into_iter().map(|(name, _)| name);
        Self {
            ok: !waits && !servers.lack_required(),
            starting: names(starting).collect(),
            missing: names(missing).collect(),
        }
    }

    fn part(&self) -> Value {
        json!({ "ok": self.ok, "starting": self.starting, "missing": self.missing })
    }
}

fn part(ill: Option<Ill>) -> Value {
    match ill {
        None => json!({ "ok": true }),
        Some(ill) => json!({ "ok": false, "reason": ill.reason() }),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Adds the numbers of open streams and sockets.
fn count(server: &Server, body: &mut Value) {
    body["sockets"] = server.streams.sockets().into();
    body["streams"] = server.streams.streams().into();
}

/// Returns true if the caller may see counts over all tenants. Without keys every caller may.
fn is_operator(caller: &Result<Caller, Refusal>) -> bool {
    let caller = caller.as_ref();
    caller.is_ok_and(|Caller(grant)| grant.principal.may(Scope::Operator))
}
