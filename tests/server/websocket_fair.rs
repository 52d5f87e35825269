//! Operations of one socket that leave each other their share of it.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::server::TestServer;
use crate::support::talk::{events, run, send, wait_status};
use crate::support::upstream::Script;
use crate::support::websocket::Socket;

const VIEWER: &str = "{ viewer { owner } }";

/// How many words a long answer has; each is an event.
pub(crate) const WORDS: usize = 2_000;

/// Follows a run. A long one takes some 10 MB, which is more than a network holds.
pub(crate) const FOLLOW: &str = "subscription($run: ID!) { runEvents(runId: $run) {
    __typename sequence ... on TextDelta { firstSequence
        a: delta b: delta c: delta d: delta e: delta f: delta g: delta h: delta i: delta } } }";

/// A run that has ended with a long answer.
pub(crate) async fn long_run(server: &TestServer, client: &Client) -> String {
    let text: Vec<String> = (0..WORDS).map(|word| format!("{word:<500}")).collect();
    server.upstream.then(Script::stream().text(text).ended());
    let (_, id) = send(client, None, "Say much").await;
    wait_status(client, &id, "COMPLETED").await;
    let events = run(client, &id).await["lastSequence"].as_u64();
    assert!(events > Some(WORDS as u64), "{events:?}");
    id
}

/// The messages up to the next of `id`, which is the last of them.
async fn until(socket: &mut Socket, id: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let message = socket.message().await;
        let is_it = message["id"] == id;
        heard.push(message);
        if is_it {
            return heard;
        }
    }
}

#[tokio::test]
async fn replays_leave_others_their_share() {
    let server = TestServer::start().await;
    let client = server.client();
    let run = long_run(&server, &client).await;
    let mut socket = client.socket().await;
    let replays = ["a", "b", "c", "d"];
    for id in replays {
        socket.subscribe(id, FOLLOW, &json!({ "run": run })).await;
    }
    // All are under way; now one asks something.
    for id in replays {
        until(&mut socket, id).await;
    }
    socket.subscribe("q", VIEWER, &json!({})).await;
    let heard = until(&mut socket, "q").await;
    assert_eq!(heard.last().unwrap()["type"], "next");
    // What the network holds of the replays comes first, which is less than all of them.
    let is_complete = |message: &Value| message["type"] == "complete";
    let mut over = heard.iter().filter(|message| is_complete(message)).count();
    assert!(over < replays.len(), "answered before the replays are over");
    while over < replays.len() + 1 {
        over += usize::from(is_complete(&socket.message().await));
    }
}

/// A client that reads nothing for a while holds up its own operations and loses nothing.
#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let server = TestServer::start().await;
    let client = server.client();
    let run = long_run(&server, &client).await;
    let mut slow = client.socket().await;
    for id in ["a", "b"] {
        slow.subscribe(id, FOLLOW, &json!({ "run": run })).await;
    }
    // Another socket is served meanwhile.
    let mut other = client.socket().await;
    other.subscribe("a", FOLLOW, &json!({ "run": run })).await;
    let expected = events(other.rest("a").await);
    let mut said = [Vec::new(), Vec::new()];
    let mut over = 0;
    while over < said.len() {
        let mut message = slow.message().await;
        let which = usize::from(message["id"] == "b");
        match message["type"].as_str() {
            Some("next") => said[which].push(message["payload"].take()),
            _ => over += 1,
        }
    }
    for said in said {
        assert_eq!(sequences(&events(said)), sequences(&expected));
    }
}

/// The last sequence, and whether those before it have no gap.
fn sequences(events: &[Value]) -> (Option<u64>, bool) {
    let mut last = 0;
    let mut whole = true;
    for event in events {
        let first = event["firstSequence"].as_u64();
        whole &= first.or(event["sequence"].as_u64()) == Some(last + 1);
        last = event["sequence"].as_u64().unwrap();
    }
    (events.last().and_then(|e| e["sequence"].as_u64()), whole)
}
