//! Stopping a run.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    all, cancel, chat, chat_subscription, events, half_said, input, messages, run, run_events,
    send, string,
};
use crate::support::upstream::Script;
use crate::support::wait::soon;

pub(crate) async fn a_stopped_run_keeps_what_it_has_said(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let mut stream = client
        .events(&chat_subscription(), &input(None, "Count"))
        .await;
    let mut seen = Vec::new();
    while all(&seen, "delta").last() != Some(&&json!("two ")) {
        seen.push(events(vec![stream.next().await.unwrap()]).remove(0));
    }
    let id = string(&seen[0]["run"]["id"]);

    let cancelled = cancel(&client, &id).await;

    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(cancelled["finishReason"], "CANCELLED");
    assert_eq!(cancelled["error"], Value::Null);
    assert_eq!(cancelled["output"]["text"], "one two ");
    assert_eq!(cancelled["output"]["finishReason"], "CANCELLED");
    soon(
        "the provider's connection to close",
        server.upstream.wait_closed(1),
    )
    .await;
    seen.extend(events(stream.rest().await));
    assert_eq!(seen.last().unwrap()["__typename"], "RunCancelled");
    assert_eq!(run_events(&client, &id, 0).await, seen);

    // The session goes on, and the model knows what was said.
    let document = "query($id: ID!) { run(id: $id) { session { id activeRun { id } } } }";
    let data = client.data(document, &json!({ "id": id })).await;
    assert_eq!(data["run"]["session"]["activeRun"], Value::Null);
    let session = string(&data["run"]["session"]["id"]);
    let next = chat(&client, Some(&session), "Go on").await;
    assert_eq!(next["message"]["text"], "echo 4: Go on");
    assert_eq!(messages(&client, &session).await[1], "ASSISTANT: one two ");
}

pub(crate) async fn a_run_stopped_before_its_first_token_has_no_answer(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(Script::silence());
    let (session, id) = send(&client, None, "Anybody?").await;
    server.upstream.wait_holding(1).await;
    let cancelled = cancel(&client, &id).await;
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(cancelled["output"], Value::Null);
    soon(
        "the provider's connection to close",
        server.upstream.wait_closed(1),
    )
    .await;
    assert_eq!(messages(&client, &session).await, ["USER: Anybody?"]);
    let log = run_events(&client, &id, 0).await;
    assert_eq!(
        all(&log, "__typename"),
        ["RunStarted", "StepStarted", "RunCancelled"]
    );
}

pub(crate) async fn stopping_twice_is_stopping_once(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, id) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let (first, second) = tokio::join!(cancel(&client, &id), cancel(&client, &id));
    assert_eq!(first["status"], "CANCELLED");
    assert_eq!(second, first);
    assert_eq!(cancel(&client, &id).await, first);
    assert_eq!(run(&client, &id).await, first);

    // A run that has ended by itself stays as it is.
    let answered = chat(&client, None, "Hello").await;
    let ended = &answered["run"];
    assert_eq!(cancel(&client, &string(&ended["id"])).await, *ended);
}
