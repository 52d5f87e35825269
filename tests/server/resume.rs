//! Coming back to a run.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::chat::check_texts;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    EVENT, WHOLE, all, events, follow, half_said, run, run_events, send, string,
};
use crate::support::wait::eventually;

/// A run that has said its first half and waits.
async fn half_way(server: &TestServer, client: &Client) -> (String, String, u64) {
    server.upstream.then(half_said());
    let (session, id) = send(client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    // Started, step, two deltas.
    let last = eventually("what was said", async || {
        let last = run(client, &id).await["lastSequence"].as_u64();
        last.filter(|last| *last >= 4)
    })
    .await;
    (session, id, last)
}

/// A log is whole: numbered from 1 without holes, one terminal event, last.
pub(crate) fn check_log(log: &[Value]) {
    let expected: Vec<_> = (1..=log.len()).map(Value::from).collect();
    assert_eq!(
        all(log, "sequence"),
        expected.iter().collect::<Vec<_>>(),
        "no holes"
    );
    let terminal = ["RunCompleted", "RunFailed", "RunCancelled"].map(Value::from);
    let ends: Vec<_> = log
        .iter()
        .filter(|event| terminal.contains(&event["__typename"]))
        .collect();
    assert_eq!(ends, [log.last().unwrap()], "one end, at the end");
}

pub(crate) async fn a_run_is_followed_from_every_place_after_its_end(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let (_, id) = send(&client, None, "one two three").await;
    let log = run_events(&client, &id, 0).await;
    check_log(&log);
    assert_eq!(check_texts(&log), "echo 2: one two three");
    for after in 0..=log.len() {
        let rest = run_events(&client, &id, after as u64).await;
        assert_eq!(rest, log[after..], "after {after}");
    }
}

pub(crate) async fn a_run_is_followed_from_every_place_while_it_is_made(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let (_, id, last) = half_way(&server, &client).await;
    let mut streams = Vec::new();
    for after in 0..=last {
        let mut stream = follow(&client, &id, after).await;
        // All but the last have something to read now; it is read before the run goes on.
        let first = match after < last {
            true => events(vec![stream.next().await.unwrap()]),
            false => Vec::new(),
        };
        streams.push((first, stream));
    }
    server.upstream.release();

    let log = run_events(&client, &id, 0).await;
    check_log(&log);
    assert_eq!(check_texts(&log), WHOLE);
    for (after, (mut seen, stream)) in streams.into_iter().enumerate() {
        seen.extend(events(stream.rest().await));
        assert_eq!(seen, log[after..], "after {after}");
    }
}

/// `session { messages activeRun { lastSequence } }`, then `runEvents` from there.
pub(crate) async fn opening_a_chat_has_no_seam(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let (session, id, _) = half_way(&server, &client).await;
    let document = "query($id: ID!) { session(id: $id) { messages { nodes { text } }
        activeRun { id lastSequence status } } }";
    let opened = client.data(document, &json!({ "id": session })).await;
    let active = &opened["session"]["activeRun"];
    assert_eq!(active["id"], id);
    assert_eq!(active["status"], "RUNNING");
    assert_eq!(
        opened["session"]["messages"]["nodes"],
        json!([{ "text": "Count" }])
    );

    let after = active["lastSequence"].as_u64().unwrap();
    let stream = follow(&client, &id, after).await;
    server.upstream.release();
    let rest = events(stream.rest().await);
    assert_eq!(rest[0]["sequence"], after + 1);
    // The text so far needs nothing that came before.
    assert_eq!(rest[0]["message"]["text"], WHOLE);

    let closed = client.data(document, &json!({ "id": session })).await;
    assert_eq!(closed["session"]["activeRun"], Value::Null);
    let nodes = closed["session"]["messages"]["nodes"].as_array().unwrap();
    assert_eq!(string(&nodes[1]["text"]), WHOLE);
}

/// Two who watch the same run over one socket see the same.
#[tokio::test]
async fn one_socket_follows_a_run_twice() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, id, _) = half_way(&server, &client).await;
    let document =
        format!("subscription($run: ID!) {{ runEvents(runId: $run, after: 0) {{ {EVENT} }} }}");
    let mut socket = client.socket().await;
    let variables = json!({ "run": id });
    socket.subscribe("a", &document, &variables).await;
    socket.subscribe("b", &document, &variables).await;
    server.upstream.release();
    let (mut seen, mut completed) = ([Vec::new(), Vec::new()], 0);
    while completed < 2 {
        let message = socket.message().await;
        let place = usize::from(message["id"] == "b");
        if message["type"] == "complete" {
            completed += 1;
        } else {
            seen[place].push(message["payload"].clone());
        }
    }
    let [a, b] = seen.map(events);
    check_log(&a);
    assert_eq!(a, b);
}

/// What an event itself has is read without the executor; `at` is not.
#[tokio::test]
async fn little_of_an_event_is_the_same_as_more_of_it() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, id) = send(&client, None, "one two three").await;
    let read = async |selection: &str, fragments: &str| {
        let document = format!(
            "subscription($run: ID!, $no: Boolean = false) {{
               runEvents(runId: $run) {{ ...Head @include(if: $no) {selection} }} }}
             fragment Head on RunEvent {{ __typename run {{ id }} }} {fragments}"
        );
        let variables = json!({ "run": id });
        events(client.events(&document, &variables).await.rest().await)
    };
    let nested = "fragment Any on RunEvent { kind: __typename ...Piece sequence }
                  fragment Piece on TextDelta { sequence ... { piece: delta } }";
    for (selection, fragments) in [
        ("sequence", ""),
        ("number: sequence sequence __typename sequence", ""),
        ("sequence ... on TextDelta { delta }", ""),
        (
            "... on TextDelta { d: delta } ... on ReasoningDelta { d: delta }",
            "",
        ),
        (
            "... on RunEvent { sequence ... on TextDelta { sequence delta } }",
            "",
        ),
        ("sequence @include(if: $no) __typename @skip(if: $no)", ""),
        ("... on RunFailed { sequence }", ""),
        ("...Any ... on RunCompleted { __typename }", nested),
    ] {
        let little = read(selection, fragments).await;
        let mut more = read(&format!("{selection} at"), fragments).await;
        assert!(more.len() > 4, "{more:?}");
        for event in &mut more {
            assert!(event.as_object_mut().unwrap().remove("at").is_some());
        }
        assert_eq!(little, more, "{selection}");
    }
}
