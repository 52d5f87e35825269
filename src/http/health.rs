//! Health: alive is having no thread that is stuck; ready is being able to serve.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Server;
use super::caller::Caller;
use super::error::Refusal;
use crate::domain::Scope;
use crate::watchdog;

/// How long the database may take to answer before the server counts as not ready.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// With one thread of several stuck it says so; with all of them stuck it does not answer at all.
pub(super) async fn live() -> (StatusCode, Json<Value>) {
    match watchdog::is_stuck() {
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
    let database = matches!(
        tokio::time::timeout(PING_TIMEOUT, server.store.ping()).await,
        Ok(Ok(()))
    );
    let model = server.models.are_ready();
    let ready = serving && database && model;
    let mut body = json!({
        "status": if ready { "ready" } else { "not ready" },
        "serving": serving,
        "database": database,
        "model": model,
    });
    if is_operator(&caller) {
        body["sockets"] = server.streams.sockets().into();
        body["streams"] = server.streams.streams().into();
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}

/// Whether the caller may see counts over all tenants. Without keys every caller may.
fn is_operator(caller: &Result<Caller, Refusal>) -> bool {
    let caller = caller.as_ref();
    caller.is_ok_and(|Caller(grant)| grant.principal.may(Scope::Operator))
}
