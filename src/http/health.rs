//! Health: alive is having no thread that is stuck; ready is being able to serve.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Server;
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

pub(super) async fn ready(State(server): State<Arc<Server>>) -> (StatusCode, Json<Value>) {
    let serving = server.ready.load(Ordering::Acquire);
    let database = matches!(
        tokio::time::timeout(PING_TIMEOUT, server.store.ping()).await,
        Ok(Ok(()))
    );
    let model = server.models.are_ready();
    let ready = serving && database && model;
    let body = json!({
        "status": if ready { "ready" } else { "not ready" },
        "serving": serving,
        "database": database,
        "model": model,
        "sockets": server.streams.sockets(),
        "streams": server.streams.streams(),
    });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}
