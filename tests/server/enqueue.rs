//! Saying more while an answer is being made, without stopping it.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::on_active_run::{start, with_policy};
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    SEND, cancel, chat, committed_text, create_session, ended_run, half_said, messages, run,
    run_events, send,
};

const WAITING: &str = "query($id: ID!) { session(id: $id) { activeRun { id } enqueuedRuns { id
    status lastSequence input { text parent { id } siblings { id } } } messages { nodes { text } }
    head { text } } }";

pub(crate) async fn what_is_enqueued_follows_in_order(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;

    let mut ids = Vec::new();
    for text in ["Two", "Three"] {
        ids.push(start(&client, &session, text, "ENQUEUE").await);
    }

    let seen = client.data(WAITING, &json!({ "id": session })).await;
    let session_seen = &seen["session"];
    assert_eq!(session_seen["activeRun"]["id"], first);
    assert_eq!(session_seen["head"]["text"], "Count");
    assert_eq!(
        session_seen["messages"]["nodes"],
        json!([{ "text": "Count" }])
    );
    let waiting = session_seen["enqueuedRuns"].as_array().unwrap();
    for ((run, id), text) in waiting.iter().zip(&ids).zip(["Two", "Three"]) {
        assert_eq!(run["id"], *id);
        assert_eq!(
            (&run["status"], &run["lastSequence"]),
            (&json!("QUEUED"), &json!(0))
        );
        assert_eq!(run["input"]["text"], text);
        assert_eq!(run["input"]["parent"], Value::Null);
        assert_eq!(run["input"]["siblings"].as_array().unwrap().len(), 1);
    }
    // While some wait, the others are refused, and a branch can be neither chosen nor begun.
    let refused = client
        .error(SEND, &with_policy(&session, "And me?", "REJECT"))
        .await;
    assert_eq!(refused["extensions"]["code"], "CONFLICT");
    assert_eq!(refused["extensions"]["runId"], first);
    server.upstream.release();

    for id in &ids {
        assert_eq!(ended_run(&client, id).await["status"], "COMPLETED");
        let log = run_events(&client, id, 0).await;
        assert_eq!(log[0]["__typename"], "RunStarted");
        assert_eq!(log.last().unwrap()["__typename"], "RunCompleted");
    }
    assert_eq!(
        messages(&client, &session).await,
        [
            "USER: Count",
            "ASSISTANT: one two three",
            "USER: Two",
            "ASSISTANT: echo 4: Two",
            "USER: Three",
            "ASSISTANT: echo 6: Three",
        ]
    );
    let seen = client.data(WAITING, &json!({ "id": session })).await;
    assert_eq!(seen["session"]["enqueuedRuns"], json!([]));
    chat(&client, Some(&session), "Done").await;
}

pub(crate) async fn what_waits_can_be_stopped(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let second = start(&client, &session, "Two", "ENQUEUE").await;
    let third = start(&client, &session, "Three", "ENQUEUE").await;

    let stopped = cancel(&client, &second).await;

    assert_eq!(stopped["status"], "CANCELLED");
    assert_eq!(stopped["output"], Value::Null);
    let log = run_events(&client, &second, 0).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["__typename"], "RunCancelled");
    assert_eq!(run(&client, &first).await["status"], "RUNNING");
    server.upstream.release();
    assert_eq!(ended_run(&client, &third).await["status"], "COMPLETED");
    let said = messages(&client, &session).await;
    assert_eq!(said[2..], ["USER: Three", "ASSISTANT: echo 4: Three"]);
    // Its place is free again: nothing seems to wait.
    assert_eq!(
        chat(&client, Some(&session), "Go on").await["run"]["status"],
        "COMPLETED"
    );
}

pub(crate) async fn interrupting_run_precedes_queued_runs(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, counting) = send(&client, None, "Count").await;
    committed_text(&client, &counting, 0, "one two ").await;
    let waiting = start(&client, &session, "Wait", "ENQUEUE").await;
    let urgent = start(&client, &session, "Now", "INTERRUPT").await;
    for id in [&urgent, &waiting] {
        assert_eq!(ended_run(&client, id).await["status"], "COMPLETED");
    }
    let said = messages(&client, &session).await;
    assert_eq!(
        said,
        [
            "USER: Count",
            "ASSISTANT: one two ",
            "USER: Now",
            "ASSISTANT: echo 4: Now",
            "USER: Wait",
            "ASSISTANT: echo 6: Wait",
        ]
    );
}

pub(crate) async fn a_session_has_room_for_so_many(db: Arc<Database>) {
    let server = Setup::new()
        .set("runs.session_queue", 2)
        .on(&db)
        .start()
        .await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, _) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let mut ids = Vec::new();
    for text in ["Two", "Three"] {
        ids.push(start(&client, &session, text, "ENQUEUE").await);
    }
    let refused = client
        .error(SEND, &with_policy(&session, "Four", "ENQUEUE"))
        .await;
    assert_eq!(refused["extensions"]["code"], "CONFLICT");
    assert_eq!(refused["extensions"]["field"], "input.sessionId");
    server.upstream.release();
    for id in ids {
        ended_run(&client, &id).await;
    }
    assert_eq!(messages(&client, &session).await.len(), 6);
}

/// A hundred at two servers: all are answered, one after the other, and nothing is lost.
pub(crate) async fn many_at_once_are_answered_one_after_the_other(db: Arc<Database>) {
    let setup = || Setup::new().set("runs.session_queue", 100);
    let servers = [setup().on(&db).start().await, setup().on(&db).start().await];
    let clients = servers.each_ref().map(|server| server.client());
    let session = create_session(&clients[0]).await;
    let starts = (0..24).map(|n| {
        let (client, session) = (&clients[n % 2], &session);
        async move { start(client, session, &format!("m{n}"), "ENQUEUE").await }
    });
    let ids = join_all(starts).await;
    for id in &ids {
        assert_eq!(ended_run(&clients[0], id).await["status"], "COMPLETED");
    }
    let said = messages(&clients[0], &session).await;
    assert_eq!(said.len(), 48);
    for pair in said.chunks(2) {
        let asked = pair[0].strip_prefix("USER: ").unwrap();
        assert!(pair[1].ends_with(&format!(": {asked}")), "{pair:?}");
    }
}
