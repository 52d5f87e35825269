//! Watching a session, and the list of sessions.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::sse::Events;
use crate::support::talk::{
    EVENT, WHOLE, all, chat, create_session, events, half_said, run_events, send, string,
};

async fn watch(client: &Client, session: &str, place: Option<(&str, u64)>) -> Events {
    let document = format!(
        "subscription($session: ID!, $run: ID, $after: Int) {{
           sessionEvents(sessionId: $session, runId: $run, after: $after) {{ {EVENT} }} }}"
    );
    let variables = json!({ "session": session, "run": place.map(|place| place.0),
        "after": place.map(|place| place.1) });
    client.events(&document, &variables).await
}

/// The next events, until so many runs have ended.
async fn until_ended(stream: &mut Events, runs: usize) -> Vec<Value> {
    let (mut seen, mut ended) = (Vec::new(), 0);
    while ended < runs {
        let event = events(vec![stream.next().await.unwrap()]).remove(0);
        let kind = string(&event["__typename"]);
        ended += usize::from(["RunCompleted", "RunFailed", "RunCancelled"].contains(&&*kind));
        seen.push(event);
    }
    seen
}

pub(crate) async fn a_session_is_followed_from_run_to_run(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    let mut ids = vec![string(&first["run"]["id"])];
    let last = first["run"]["lastSequence"].as_u64().unwrap();
    let mut from_now = watch(&client, &session, Some((&ids[0], last))).await;
    for text in ["Two", "Three"] {
        let answer = chat(&client, Some(&session), text).await;
        ids.push(string(&answer["run"]["id"]));
    }
    let mut logs = Vec::new();
    for id in &ids {
        logs.push(run_events(&client, id, 0).await);
    }
    assert_eq!(until_ended(&mut from_now, 2).await, logs[1..].concat());

    // From any event of any run.
    for (number, id) in ids.iter().enumerate() {
        for after in 0..=logs[number].len() {
            let mut stream = watch(&client, &session, Some((id, after as u64))).await;
            let mut expected = logs[number][after..].to_vec();
            expected.extend(logs[number + 1..].concat());
            let runs = 3 - number - usize::from(after == logs[number].len());
            assert_eq!(
                until_ended(&mut stream, runs).await,
                expected,
                "{number} {after}"
            );
        }
    }
    let mut late = watch(&client, &session, Some((&ids[2], 2))).await;
    until_ended(&mut late, 1).await;
    client
        .data(
            "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }",
            &json!({ "id": session }),
        )
        .await;
    assert_eq!(late.next().await, None, "it ends with its session");
}

/// `session { messages activeRun { id lastSequence output } }` and then the events from there.
pub(crate) async fn opening_a_session_has_no_seam(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, id) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let document = "query($id: ID!) { session(id: $id) { messages { nodes { text } }
        activeRun { id lastSequence output { text finishReason parts { ... on TextPart { text } } } } } }";
    let opened = crate::support::wait::eventually("what was said", async || {
        let mut opened = client.data(document, &json!({ "id": session })).await;
        let opened = opened["session"].take();
        (opened["activeRun"]["lastSequence"] == 4).then_some(opened)
    })
    .await;
    let active = &opened["activeRun"];
    assert_eq!(active["id"], id);
    assert_eq!(
        active["output"],
        json!({ "text": "one two ", "finishReason": null, "parts": [{ "text": "one two " }] })
    );
    assert_eq!(opened["messages"]["nodes"], json!([{ "text": "Count" }]));

    let mut stream = watch(&client, &session, Some((&id, 4))).await;
    let mut from_beginning = watch(&client, &session, None).await;
    let first = events(vec![from_beginning.next().await.unwrap()]).remove(0);
    assert_eq!(
        (&first["sequence"], &first["run"]["id"]),
        (&json!(1), &json!(id))
    );
    server.upstream.release();
    let rest = until_ended(&mut stream, 1).await;
    assert_eq!(until_ended(&mut from_beginning, 1).await[3..], rest);
    let more: String = rest
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(format!("one two {more}"), WHOLE);
}

#[tokio::test]
async fn what_is_no_place_in_a_session_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let (session, run) = (string(&first["session"]["id"]), string(&first["run"]["id"]));
    let last = first["run"]["lastSequence"].as_u64().unwrap();
    let other = create_session(&client).await;
    for (session, place, field, code) in [
        (&other, Some((&*run, 1)), "runId", "BAD_USER_INPUT"),
        (&session, Some((&*run, last + 1)), "after", "BAD_USER_INPUT"),
        (
            &session,
            Some(("run_01m82abcswfc0vnabm4hc1k3p2", 0)),
            "runId",
            "BAD_USER_INPUT",
        ),
        (
            &"ses_01m82abcswfc0vnabm4hc1k3p2".to_owned(),
            None,
            "sessionId",
            "NOT_FOUND",
        ),
    ] {
        let mut stream = watch(&client, session, place).await;
        let error = stream.next().await.unwrap();
        let extensions = &error["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["field"], &extensions["code"]),
            (&json!(field), &json!(code))
        );
    }
}

#[tokio::test]
async fn a_list_of_sessions_stays_live() {
    let server = Setup::new()
        .key("ann-key", "acme", "ann")
        .key("bob-key", "acme", "bob")
        .start()
        .await;
    let (client, bob) = (server.client_with("ann-key"), server.client_with("bob-key"));
    let document = "subscription { sessionChanged { id title deletedAt activeRun { id }
        messages { nodes { text } } } }";
    let mut stream = client.events(document, &json!({})).await;
    let mut bobs = bob.events(document, &json!({})).await;
    let mut until = async |what: &dyn Fn(&Value) -> bool| {
        loop {
            let mut response = stream.next().await.unwrap();
            let session = response["data"]["sessionChanged"].take();
            if what(&session) {
                return session;
            }
        }
    };
    let session = create_session(&client).await;
    until(&|changed| changed["id"] == session).await;
    server.upstream.then(half_said());
    let (_, run) = send(&client, Some(&session), "Count").await;
    let started = until(&|changed| changed["activeRun"]["id"] == run).await;
    assert_eq!(started["title"], "Count");
    server.upstream.release();
    let ended = until(&|changed| changed["activeRun"] == Value::Null).await;
    assert_eq!(
        all(ended["messages"]["nodes"].as_array().unwrap(), "text"),
        ["Count", WHOLE]
    );
    let rename = "mutation($id: ID!) { updateSession(input: { id: $id, title: \"New\" }) { session { id } } }";
    client.data(rename, &json!({ "id": session })).await;
    until(&|changed| changed["title"] == "New").await;
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    client.data(delete, &json!({ "id": session })).await;
    let deleted = until(&|changed| changed["deletedAt"] != Value::Null).await;
    assert_eq!(deleted["id"], session);

    // Others hear nothing of it.
    let bobs_session = create_session(&bob).await;
    let first = bobs.next().await.unwrap();
    assert_eq!(first["data"]["sessionChanged"]["id"], bobs_session);
}
