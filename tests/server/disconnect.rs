//! Disconnect is not cancel: a run belongs to the server.

use std::sync::Arc;

use serde_json::json;

use crate::support::client::{Client, body};
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    WHOLE, chat, chat_subscription, ended_run, half_said, input, messages, run_events, string,
};
use crate::support::wait::eventually;

/// The session and the run that are active now.
async fn active(client: &Client) -> (String, String) {
    let document = "{ sessions { nodes { id activeRun { id } } } }";
    let data = client.data(document, &json!({})).await;
    let session = &data["sessions"]["nodes"][0];
    (string(&session["id"]), string(&session["activeRun"]["id"]))
}

/// The client has gone: lets the model say the rest, which must become the answer.
async fn check_goes_on(server: &TestServer, client: &Client) {
    let (session, run) = active(client).await;
    server.upstream.release();
    let ended = ended_run(client, &run).await;
    assert_eq!(ended["status"], "COMPLETED");
    assert_eq!(ended["output"]["text"], WHOLE);
    assert_eq!(
        messages(client, &session).await[1],
        format!("ASSISTANT: {WHOLE}")
    );
    let log = run_events(client, &run, 0).await;
    assert_eq!(log.last().unwrap()["__typename"], "RunCompleted");
}

pub(crate) async fn a_run_goes_on_without_its_sse_client(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let mut stream = client
        .events(&chat_subscription(), &input(None, "Count"))
        .await;
    while stream.next().await.unwrap()["data"]["chat"]["delta"] != "two " {}
    drop(stream);
    check_goes_on(&server, &client).await;
}

pub(crate) async fn a_run_goes_on_without_its_socket(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let mut socket = client.socket().await;
    socket
        .subscribe("1", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    drop(socket);
    check_goes_on(&server, &client).await;
}

pub(crate) async fn a_run_goes_on_without_the_client_of_its_mutation(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let impatient = client.clone();
    let asking = tokio::spawn(async move { chat(&impatient, None, "Count").await });
    server.upstream.wait_holding(1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    check_goes_on(&server, &client).await;
}

/// A mutation that would take too long names the run, which goes on.
pub(crate) async fn a_slow_answer_is_told_apart_from_a_failed_one(db: Arc<Database>) {
    let server = Setup::new()
        .set("http.request_timeout_ms", 1_000)
        .on(&db)
        .start()
        .await;
    let client = server.client();
    server.upstream.then(half_said());
    let document = "mutation($input: ChatInput!) { chat(input: $input) { run { id } } }";
    let error = client.error(document, &input(None, "Count")).await;
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE");
    let (_, run) = active(&client).await;
    assert_eq!(error["extensions"]["runId"], run);
    check_goes_on(&server, &client).await;
}

/// `onDisconnect: CANCEL`, over every way of waiting for an answer.
pub(crate) async fn a_run_stops_with_its_client_where_it_asked_for_that(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let mut variables = input(None, "Count");
    variables["input"]["onDisconnect"] = "CANCEL".into();
    let check_stopped = async |calls: usize| {
        server.upstream.wait_closed(calls).await;
        let document = "{ sessions(first: 1) { nodes { messages { nodes { run { id } } } } } }";
        let data = client.data(document, &json!({})).await;
        let nodes = &data["sessions"]["nodes"][0]["messages"]["nodes"];
        let ended = ended_run(&client, &string(&nodes[0]["run"]["id"])).await;
        assert_eq!(ended["status"], "CANCELLED");
        assert_eq!(ended["output"]["text"], "one two ");
    };
    server.upstream.then(half_said());
    let mut stream = client.events(&chat_subscription(), &variables).await;
    while stream.next().await.unwrap()["data"]["chat"]["delta"] != "two " {}
    drop(stream);
    check_stopped(1).await;

    server.upstream.then(half_said());
    let mut socket = client.socket().await;
    socket
        .subscribe("1", &chat_subscription(), &variables)
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket.say(&json!({ "type": "complete", "id": "1" })).await;
    check_stopped(2).await;

    server.upstream.then(half_said());
    let (impatient, waited) = (client.clone(), variables.clone());
    let document = "mutation($input: ChatInput!) { chat(input: $input) { run { id } } }";
    let asking = tokio::spawn(async move { impatient.data(document, &waited).await });
    server.upstream.wait_holding(3).await;
    let (_, run) = active(&client).await;
    eventually("what was said", async || {
        let last = crate::support::talk::run(&client, &run).await["lastSequence"].as_u64();
        last.filter(|last| *last >= 4)
    })
    .await;
    asking.abort();
    check_stopped(3).await;

    // Who stays to the end stops nothing.
    let whole = client
        .events(&chat_subscription(), &variables)
        .await
        .rest()
        .await;
    assert_eq!(
        whole.last().unwrap()["data"]["chat"]["__typename"],
        "RunCompleted"
    );
}

/// Leaving one operation of a socket leaves its run alone, too.
#[tokio::test]
async fn a_run_goes_on_when_its_operation_is_completed_by_the_client() {
    let server = TestServer::start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let mut socket = client.socket().await;
    socket
        .subscribe("1", &chat_subscription(), &input(None, "Count"))
        .await;
    while socket.message().await["payload"]["data"]["chat"]["delta"] != "two " {}
    socket.say(&json!({ "type": "complete", "id": "1" })).await;
    assert!(socket.is_quiet().await);
    check_goes_on(&server, &client).await;
    assert!(socket.is_quiet().await, "no word of the run comes any more");
}

/// Nothing is left behind by clients that went away.
#[tokio::test]
async fn nothing_stays_active_after_the_run() {
    let server = TestServer::start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let stream = client
        .events(&chat_subscription(), &input(None, "Count"))
        .await;
    server.upstream.wait_holding(1).await;
    drop(stream);
    server.upstream.release();
    eventually("no active run", async || {
        let data = client
            .data(
                "{ server { activeRuns } sessions { nodes { activeRun { id } } } }",
                &json!({}),
            )
            .await;
        let none = data["server"]["activeRuns"] == 0
            && data["sessions"]["nodes"] == json!([{ "activeRun": null }]);
        none.then_some(())
    })
    .await;
}

/// What the server says is open.
async fn open_streams(client: &Client) -> u64 {
    let request = client.request(reqwest::Method::GET, "/health/ready");
    body(request).await.1["streams"].as_u64().unwrap()
}

/// Nothing is written on a stalled stream that would tell the server that its client has gone.
#[tokio::test]
async fn a_stalled_stream_is_freed_when_its_client_goes() {
    let server = TestServer::start().await;
    let client = server.client();
    let document = chat_subscription();
    server.upstream.then(half_said()).then(half_said());
    let mut events = client.events(&document, &input(None, "Count")).await;
    while events.next().await.unwrap()["data"]["chat"]["delta"] != "two " {}
    let mut parts = client.parts(&document, &input(None, "Count")).await;
    while parts.next().await.unwrap()["data"]["chat"]["delta"] != "two " {}
    assert_eq!(open_streams(&client).await, 2);
    drop(events);
    eventually("one open stream", async || {
        (open_streams(&client).await == 1).then_some(())
    })
    .await;
    drop(parts);
    eventually("no open stream", async || {
        (open_streams(&client).await == 0).then_some(())
    })
    .await;
}
