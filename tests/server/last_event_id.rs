//! The events of a run carry their numbers, and a client that comes back goes on after its
//! last one.

use serde_json::{Value, json};

use crate::agent_tools::{agents, calculates};
use crate::interrupts::{careful, waits};
use crate::support::client::{Client, body};
use crate::support::server::TestServer;
use crate::support::sse::{Events, Frame};
use crate::support::talk::{
    chat_subscription, events, follow, half_said, input, run_events, run_events_subscription,
    send as say,
};

/// The ids of the frames that are left, with the frames.
async fn frames(mut stream: Events) -> Vec<(Option<u64>, Frame)> {
    let mut all = Vec::new();
    while let Some(frame) = stream.frame().await {
        if frame != Frame::Comment {
            all.push((stream.id, frame));
        }
    }
    all
}

/// A browser sends an empty header for a stream whose last id was empty.
#[tokio::test]
async fn an_empty_number_is_none() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "one two").await;
    let variables = json!({ "run": run });
    let request = client
        .post(&run_events_subscription(), &variables)
        .header("accept", "text/event-stream")
        .header("last-event-id", "");
    let stream = Events::new(crate::support::client::send(request).await);
    let all = events(stream.rest().await);
    assert_eq!(all[0]["sequence"], 1);
    assert_eq!(all, run_events(&client, &run, 0).await);
}

/// Clients need not select the sequence to be able to resume.
#[tokio::test]
async fn the_events_of_a_run_are_numbered() {
    let server = TestServer::start().await;
    let client = server.client();
    let chat = "subscription($input: ChatInput!) { chat(input: $input) { run { id } } }";
    let said = frames(client.events(chat, &input(None, "one two")).await).await;
    let Some((_, Frame::Next(first))) = said.first() else {
        panic!("{said:?}")
    };
    let run = first["data"]["chat"]["run"]["id"].clone();
    let log = run_events(&client, run.as_str().unwrap(), 0).await;
    let last = log.len() as u64;
    let numbers = |from: u64| (from..=last).map(Some).chain([None]).collect::<Vec<_>>();
    let ids = |frames: Vec<(Option<u64>, Frame)>| frames.into_iter().map(|(id, _)| id);
    assert_eq!(ids(said).collect::<Vec<_>>(), numbers(1));
    let follow = "subscription($run: ID!) { runEvents(runId: $run, after: 2) { at } }";
    let followed = frames(client.events(follow, &json!({ "run": run })).await).await;
    assert_eq!(ids(followed).collect::<Vec<_>>(), numbers(3));
}

#[tokio::test]
async fn what_is_no_event_of_a_run_has_no_number() {
    let server = TestServer::start().await;
    let client = server.client();
    let unknown = "subscription { runEvents(runId: \"run_01h455vb4pex5vsknk084sn02q\") { at } }";
    let mutation = "mutation { createSession { session { title } } }";
    for document in ["{ viewer { owner } }", mutation, unknown] {
        let frames = frames(client.events(document, &json!({})).await).await;
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert!(frames.iter().all(|(id, _)| id.is_none()), "{frames:?}");
    }
}

/// Sends `runEvents` as a client that has lost its connection does.
async fn come_back(client: &Client, over_get: bool, variables: &Value, id: &str) -> Events {
    let document = run_events_subscription();
    let request = match over_get {
        true => client.get(&[("query", &document), ("variables", &variables.to_string())]),
        false => client.post(&document, variables),
    };
    let request = request
        .header("accept", "text/event-stream")
        .header("last-event-id", id);
    Events::new(request.send().await.unwrap())
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_after_its_last_event() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "one two").await;
    let log = run_events(&client, &run, 0).await;
    for over_get in [false, true] {
        for (id, after, expected) in [
            (3, None, 3),
            (0, None, 0),
            // As it was first asked for, and what has come since.
            (4, Some(1), 4),
            (1, Some(4), 4),
            (log.len(), None, log.len()),
        ] {
            let variables = json!({ "run": run, "after": after });
            let stream = come_back(&client, over_get, &variables, &id.to_string()).await;
            assert_eq!(
                events(stream.rest().await),
                log[expected..],
                "{id} {after:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_comes_back_while_the_run_is_made() {
    let server = TestServer::start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, run) = say(&client, None, "Count").await;
    let mut stream = follow(&client, &run, 0).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&json!("two ")) {
        let response = stream.next().await.unwrap();
        seen.push(response["data"]["runEvents"]["delta"].clone());
    }
    let last = stream.id.unwrap();
    assert_eq!(last, seen.len() as u64);
    drop(stream);
    let variables = json!({ "run": run });
    let again = come_back(&client, true, &variables, &last.to_string()).await;
    server.upstream.release();
    let rest = events(again.rest().await);
    assert_eq!(rest[0]["delta"], "three");
    assert_eq!(rest[0]["sequence"], last + 1);
}

/// What has no numbers goes on from now, and starts nothing.
#[tokio::test]
async fn a_client_comes_back_to_what_it_is_asked() {
    let folder = agents("");
    let server = careful(&folder).start().await;
    let client = server.client();
    let document = "subscription { interruptsChanged { toolName run { id } } }";
    for over_get in [false, true] {
        let request = match over_get {
            true => client.get(&[("query", document)]),
            false => client.post(document, &json!({})),
        };
        let request = request
            .header("accept", "text/event-stream")
            .header("last-event-id", "4");
        let mut stream = Events::new(request.send().await.unwrap());
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (_, run) = say(&client, None, "Calculate").await;
        waits(&client, &run).await;
        let change = stream.next().await.unwrap();
        let change = &change["data"]["interruptsChanged"];
        assert_eq!(change["toolName"], "calculator");
        assert_eq!(change["run"]["id"], run);
        assert_eq!(stream.id, None);
    }
}

#[tokio::test]
async fn a_last_event_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "Hello").await;
    for id in ["x", "-1", "1.5", "18446744073709551616"] {
        let request = client
            .post(&run_events_subscription(), &json!({ "run": run }))
            .header("accept", "text/event-stream")
            .header("last-event-id", id);
        let (status, body) = body(request).await;
        assert_eq!(status, 400, "{id:?}: {body}");
        let error = &body["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_REQUEST");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Last-Event-ID"), "{message}");
    }
    let stream = come_back(&client, false, &json!({ "run": run }), "999").await;
    let answers = stream.rest().await;
    assert_eq!(
        answers[0]["errors"][0]["extensions"]["code"],
        "BAD_USER_INPUT"
    );
    // It means nothing to what is no stream of events.
    let query = client
        .post("{ viewer { owner } }", &json!({}))
        .header("last-event-id", "x");
    assert_eq!(body(query).await.0, 200);
}

/// Clients send it by themselves when they reconnect, and the run they have lost goes on.
#[tokio::test]
async fn coming_back_starts_no_second_run() {
    let server = TestServer::start().await;
    let request = server
        .client()
        .post(&chat_subscription(), &input(None, "Hello"))
        .header("accept", "text/event-stream")
        .header("last-event-id", "4");
    let (status, body) = body(request).await;
    assert_eq!(status, 409);
    assert_eq!(body["errors"][0]["extensions"]["code"], "CONFLICT");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("runEvents"), "{message}");
    assert_eq!(server.upstream.received().len(), 0);
}
