//! Someone who follows any run from anywhere for a while and leaves without a word.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::talk::run_events_subscription;
use crate::world::World;

const PAGE: &str = "{ sessions(first: 5) { nodes { id title
    messages(first: 20) { nodes { role text } } activeRun { id lastSequence } } } }";

pub(crate) async fn visit(world: Arc<World>, number: u64) {
    while world.goes_on() {
        let Some(run) = world.any_run() else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let after = fastrand::u64(..20);
        let most = fastrand::usize(1..40);
        match number % 3 {
            0 => over_websocket(&world, &run, after, most).await,
            1 => over_sse(&world, &run, after, most).await,
            _ => look_around(&world).await,
        }
        world.visits.fetch_add(1, Relaxed);
        // A load that a small machine can bear for an hour, whatever the runs are.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..200))).await;
    }
}

async fn over_sse(world: &World, run: &str, after: u64, most: usize) {
    let variables = json!({ "run": run, "after": after });
    let document = run_events_subscription();
    let request = world.client.post(&document, &variables);
    let request = request.header("accept", "text/event-stream");
    let response = request.send().await.unwrap();
    // Its session may be deleted by now.
    let is_stream = response.headers()["content-type"] == "text/event-stream";
    if !is_stream {
        return;
    }
    let mut events = crate::support::sse::Events::new(response);
    let mut last = after;
    for _ in 0..most {
        match events.next().await {
            Some(response) if check(world, &response, &mut last) => {}
            _ => return,
        }
    }
}

async fn over_websocket(world: &World, run: &str, after: u64, most: usize) {
    let mut socket = Client::socket(&world.client).await;
    let variables = json!({ "run": run, "after": after });
    socket
        .subscribe("1", &run_events_subscription(), &variables)
        .await;
    let mut last = after;
    for _ in 0..most {
        let Some(message) = socket.hear().await else {
            panic!("the socket ended");
        };
        if message["type"] == "ping" {
            continue;
        }
        if message["type"] != "next" || !check(world, &message["payload"], &mut last) {
            return;
        }
    }
}

/// Counts an event, which has to follow the last one; whether it is one.
fn check(world: &World, response: &Value, last: &mut u64) -> bool {
    let event = &response["data"]["runEvents"];
    let Some(sequence) = event["sequence"].as_u64() else {
        // The session was deleted while it was followed.
        return false;
    };
    let first = event["firstSequence"].as_u64().unwrap_or(sequence);
    assert_eq!(first, *last + 1, "{response}");
    *last = sequence;
    world.events.fetch_add(1, Relaxed);
    true
}

/// Reads a page of history.
async fn look_around(world: &World) {
    world.client.data(PAGE, &json!({})).await;
}
