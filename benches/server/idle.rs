//! Waiting: what a subscriber costs whose run has nothing to say.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::Outcome;
use super::events::{BOUNDS, ask};
use super::process::{Cores, Running, talkgraph};
use super::socket::{Socket, post, subscribe};
use super::table::{median, print};
use super::upstream::QUIET;

const SUBSCRIBERS: u32 = 1_000;
const ROUNDS: usize = 5;

/// How long a server has to get everybody subscribed.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Measures each way to wait on servers of its own: what one has given back may be used again
/// by the next, and then costs nothing.
pub(crate) async fn measure(cores: &Cores) -> Outcome {
    let mut upstream = cores.rest(std::env::current_exe()?);
    upstream.arg("as-upstream");
    let upstream = Running::start(upstream)?;
    let mut rows = Vec::new();
    for (name, transport, sockets) in [
        ("SSE, a connection each", "sse", SUBSCRIBERS),
        ("WebSocket, 50 to a connection", "ws", SUBSCRIBERS / 50),
        ("WebSocket, a connection each", "ws", SUBSCRIBERS),
    ] {
        let mut kilobytes = Vec::new();
        for _ in 0..ROUNDS {
            let memory = one(cores, &upstream, transport, sockets).await?;
            kilobytes.push(memory * 1e3 / f64::from(SUBSCRIBERS));
        }
        rows.push(vec![name.to_owned(), format!("{:.1}", median(kilobytes))]);
    }
    let idle = format!("idle, {SUBSCRIBERS} subscribers of a run");
    Ok(print(&[&idle, "KB each"], &rows)?)
}

/// The memory that all of them take together, in MB.
async fn one(cores: &Cores, upstream: &Running, transport: &str, sockets: u32) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let program = cores.server(env!("CARGO_BIN_EXE_talkgraph"));
    let mut server = talkgraph(program, folder.path(), &upstream.address);
    server.envs(BOUNDS);
    let server = Running::start(server)?;
    let run = ask(&server, "sendMessage", QUIET)?;
    let document =
        format!("subscription {{ runEvents(runId: \"{run}\", after: 2) {{ sequence }} }}");
    let request = json!({ "query": document }).to_string();
    // What the first costs is not what each costs.
    let _first = wait(&server, transport, &request, 1)?;
    sleep(SETTLE).await;
    let before = server.memory_mb()?;
    let mut all = Vec::new();
    for _ in 0..sockets {
        all.push(wait(&server, transport, &request, SUBSCRIBERS / sockets)?);
    }
    sleep(SETTLE).await;
    Ok(server.memory_mb()? - before)
}

fn wait(server: &Running, transport: &str, request: &str, operations: u32) -> Outcome<Socket> {
    let mut socket = match transport {
        "ws" => Socket::websocket(&server.address)?,
        _ => Socket::connect(&server.address)?,
    };
    for n in 0..operations {
        socket.send(&match transport {
            "ws" => subscribe(&n.to_string(), request.as_bytes()),
            _ => post(request.as_bytes(), "text/event-stream"),
        })?;
    }
    Ok(socket)
}
