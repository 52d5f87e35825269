//! More runs than there is room for.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    SEND, WHOLE, all, cancel, ended_run, half_said, input, messages, run, run_events, send,
    wait_status,
};

pub(crate) async fn a_session_has_one_active_run(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, active) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;

    let error = client.error(SEND, &input(Some(&session), "And?")).await;

    let extensions = json!({ "code": "CONFLICT", "field": "input.sessionId", "runId": active });
    assert_eq!(error["extensions"], extensions);
    // A refused message is not part of the session, and cost no call of the model.
    assert_eq!(messages(&client, &session).await, ["USER: Count"]);
    server.upstream.release();
    ended_run(&client, &active).await;
    assert_eq!(server.upstream.received().len(), 1);
    let (_, next) = send(&client, Some(&session), "And?").await;
    assert_eq!(ended_run(&client, &next).await["status"], "COMPLETED");
}

pub(crate) async fn a_run_waits_for_its_place(db: Arc<Database>) {
    let server = Setup::new().set("runs.active", 1).on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let (session, second) = send(&client, None, "Me too").await;
    let queued = run(&client, &second).await;
    assert_eq!(queued["status"], "QUEUED");
    assert_eq!(queued["lastSequence"], 0);
    assert_eq!(server.upstream.received().len(), 1);

    server.upstream.release();

    assert_eq!(ended_run(&client, &first).await["output"]["text"], WHOLE);
    let log = run_events(&client, &second, 0).await;
    assert_eq!(
        all(&log, "__typename").first(),
        Some(&&Value::from("RunStarted"))
    );
    assert_eq!(
        messages(&client, &session).await,
        ["USER: Me too", "ASSISTANT: echo 2: Me too"]
    );
}

pub(crate) async fn a_waiting_run_can_be_stopped(db: Arc<Database>) {
    let server = Setup::new().set("runs.active", 1).on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let (session, second) = send(&client, None, "Me too").await;
    let cancelled = cancel(&client, &second).await;
    assert_eq!(cancelled["status"], "CANCELLED");
    assert_eq!(run(&client, &first).await["status"], "RUNNING");
    let log = run_events(&client, &second, 0).await;
    assert_eq!(all(&log, "__typename"), ["RunCancelled"]);
    assert_eq!(all(&log, "sequence"), [1]);

    server.upstream.release();
    ended_run(&client, &first).await;
    assert_eq!(
        server.upstream.received().len(),
        1,
        "the stopped run cost no call"
    );
    let (_, third) = send(&client, Some(&session), "Now?").await;
    assert_eq!(ended_run(&client, &third).await["status"], "COMPLETED");
}

pub(crate) async fn a_full_queue_refuses(db: Arc<Database>) {
    let setup = Setup::new().set("runs.active", 1).set("runs.queued", 1);
    let server = setup.on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, first) = send(&client, None, "Count").await;
    let (_, second) = send(&client, None, "Me too").await;
    wait_status(&client, &first, "RUNNING").await;
    let error = client.error(SEND, &input(None, "And me")).await;
    assert_eq!(error["extensions"], json!({ "code": "UNAVAILABLE" }));
    server.upstream.release();
    for id in [first, second] {
        assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    }
    // Nothing of the refused one is left.
    let data = client
        .data("{ sessions { nodes { title } } }", &json!({}))
        .await;
    assert_eq!(
        data["sessions"]["nodes"],
        json!([{ "title": "Me too" }, { "title": "Count" }])
    );
}
