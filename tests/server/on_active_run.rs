//! Saying something while an answer is being made.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    SEND, all, chat, committed_text, ended_run, half_said, input, messages, run, run_events, send,
    string, wait_status,
};
use crate::support::upstream::Script;
use crate::support::wait::soon;

pub(crate) fn with_policy(session: &str, text: &str, policy: &str) -> Value {
    let mut variables = input(Some(session), text);
    variables["input"]["onActiveRun"] = policy.into();
    variables
}

/// `sendMessage`: the run's id.
pub(crate) async fn start(client: &Client, session: &str, text: &str, policy: &str) -> String {
    let data = client.data(SEND, &with_policy(session, text, policy)).await;
    string(&data["sendMessage"]["run"]["id"])
}

pub(crate) async fn an_interrupted_run_keeps_what_it_has_said(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, first) = send(&client, None, "Count").await;
    committed_text(&client, &first, 0, "one two ").await;

    let second = start(&client, &session, "Stop it", "INTERRUPT").await;

    let stopped = run(&client, &first).await;
    assert_eq!(stopped["status"], "CANCELLED");
    assert_eq!(stopped["output"]["text"], "one two ");
    soon(
        "the provider's connection to close",
        server.upstream.wait_closed(1),
    )
    .await;
    assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
    assert_eq!(
        messages(&client, &session).await,
        [
            "USER: Count",
            "ASSISTANT: one two ",
            "USER: Stop it",
            "ASSISTANT: echo 4: Stop it",
        ]
    );
    // With nothing to interrupt it is a start as any other.
    let third = start(&client, &session, "Go on", "INTERRUPT").await;
    assert_eq!(ended_run(&client, &third).await["status"], "COMPLETED");
    assert_eq!(messages(&client, &session).await.len(), 6);
}

/// What was there before comes back, also where the run answered something once more.
pub(crate) async fn a_new_answer_that_is_rolled_back_leaves_the_old_one(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Count").await;
    let session = string(&first["session"]["id"]);
    let answer = string(&first["message"]["id"]);
    let branches = [
        (
            "mutation($id: ID!) { regenerate(input: { messageId: $id }) { run { id } } }",
            answer,
        ),
        (
            "mutation($id: ID!) { editMessage(input: { messageId: $id,
                message: { text: \"Count down\" } }) { run { id } } }",
            string(&first["userMessage"]["id"]),
        ),
    ];
    let mut said = messages(&client, &session).await;
    for (number, (document, id)) in branches.into_iter().enumerate() {
        server.upstream.then(half_said());
        client.data(document, &json!({ "id": id })).await;
        server.upstream.wait_holding(1).await;
        let text = format!("Next {number}");
        let next = start(&client, &session, &text, "ROLLBACK").await;
        assert_eq!(ended_run(&client, &next).await["status"], "COMPLETED");
        let now = messages(&client, &session).await;
        assert_eq!(now[..said.len()], said, "{document}");
        assert_eq!(now[said.len()], format!("USER: {text}"));
        assert_eq!(now.len(), said.len() + 2);
        said = now;
    }
}

pub(crate) async fn a_run_rolled_back_leaves_the_branch(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let session = string(&chat(&client, None, "Hello").await["session"]["id"]);
    server.upstream.then(half_said());
    let (_, first) = send(&client, Some(&session), "Count").await;
    committed_text(&client, &first, 0, "one two ").await;

    let second = start(&client, &session, "Count to ten", "ROLLBACK").await;

    assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
    assert_eq!(
        messages(&client, &session).await,
        [
            "USER: Hello",
            "ASSISTANT: echo 2: Hello",
            "USER: Count to ten",
            "ASSISTANT: echo 4: Count to ten",
        ]
    );
    // What it was is still told by the run itself.
    let stopped = run(&client, &first).await;
    assert_eq!(stopped["status"], "CANCELLED");
    assert_eq!(stopped["output"]["text"], "one two ");
    let log = run_events(&client, &first, 0).await;
    assert_eq!(log.last().unwrap()["__typename"], "RunCancelled");
    let shown = &server.upstream.received()[2].body["messages"];
    assert_eq!(
        all(&shown.as_array().unwrap()[1..], "content"),
        ["Hello", "echo 2: Hello", "Count to ten"]
    );
}

/// The first message of a session, before its first token; whoever waits for its answer is
/// told the session as it is then.
pub(crate) async fn a_first_message_is_rolled_back(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let document = "mutation { createSession { session { id } } }";
    let data = client.data(document, &json!({})).await;
    let session = string(&data["createSession"]["session"]["id"]);
    server.upstream.then(Script::silence());
    server.upstream.then(half_said());
    let (asking, variables) = (client.clone(), input(Some(&session), "Anybody?"));
    let waiting = tokio::spawn(async move {
        let document = "mutation($input: ChatInput!) { chat(input: $input) {
            run { status } message { id } session { messages { nodes { text } } } } }";
        asking.data(document, &variables).await
    });
    server.upstream.wait_holding(1).await;
    let second = start(&client, &session, "Hello", "ROLLBACK").await;
    server.upstream.wait_holding(1).await;
    assert_eq!(messages(&client, &session).await, ["USER: Hello"]);
    let answer = waiting.await.unwrap();
    assert_eq!(
        answer["chat"],
        json!({ "run": { "status": "CANCELLED" }, "message": null,
            "session": { "messages": { "nodes": [] } } })
    );
    server.upstream.release();
    assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
}

pub(crate) async fn a_waiting_run_makes_room(db: Arc<Database>) {
    let server = Setup::new().set("runs.active", 1).on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (_, busy) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    for policy in ["INTERRUPT", "ROLLBACK"] {
        let (session, waiting) = send(&client, None, "Me too").await;
        let second = start(&client, &session, "No, this", policy).await;
        assert_eq!(run(&client, &waiting).await["status"], "CANCELLED");
        assert_eq!(run(&client, &second).await["status"], "QUEUED");
        let kept: &[&str] = match policy {
            "INTERRUPT" => &["USER: Me too", "USER: No, this"],
            _ => &["USER: No, this"],
        };
        assert_eq!(messages(&client, &session).await, kept);
    }
    assert_eq!(run(&client, &busy).await["status"], "RUNNING");
    server.upstream.release();
    assert_eq!(ended_run(&client, &busy).await["status"], "COMPLETED");
}

/// What cannot be started stops nothing.
pub(crate) async fn a_start_without_a_place_stops_nothing(db: Arc<Database>) {
    let setup = Setup::new().set("runs.active", 1).set("runs.queued", 0);
    let server = setup.on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let variables = with_policy(&session, "Stop", "INTERRUPT");
    let error = client.error(SEND, &variables).await;
    assert_eq!(error["extensions"], json!({ "code": "UNAVAILABLE" }));
    assert_eq!(run(&client, &first).await["status"], "RUNNING");
    server.upstream.release();
    assert_eq!(ended_run(&client, &first).await["status"], "COMPLETED");
}

pub(crate) async fn a_run_of_another_server_stays(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let other = Setup::new().on(&db).start().await;
    server.upstream.then(half_said());
    let (session, first) = send(&server.client(), None, "Count").await;
    server.upstream.wait_holding(1).await;
    let variables = with_policy(&session, "Stop", "INTERRUPT");
    let error = other.client().error(SEND, &variables).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "UNAVAILABLE", "runId": first })
    );
    wait_status(&other.client(), &first, "RUNNING").await;
    server.upstream.release();
    assert_eq!(
        ended_run(&server.client(), &first).await["status"],
        "COMPLETED"
    );
}

/// Whatever they want, one after the other has the session to itself.
pub(crate) async fn a_hundred_at_once_never_run_together(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, _) = send(&client, None, "0").await;
    server.upstream.wait_holding(1).await;
    let ask = async |n: usize| {
        let policy = ["INTERRUPT", "REJECT", "INTERRUPT", "ROLLBACK"][n % 4];
        let variables = with_policy(&session, &n.to_string(), policy);
        let response = client.response(SEND, &variables).await;
        let code = &response["errors"][0]["extensions"]["code"];
        match policy {
            "REJECT" => assert!(code == "CONFLICT" || code.is_null(), "{response}"),
            _ => assert_eq!(code, &Value::Null, "{response}"),
        }
        let run = &response["data"]["sendMessage"]["run"]["id"];
        run.as_str().map(str::to_owned)
    };
    let runs = join_all((1..=100).map(ask)).await;
    let mut ended = Vec::new();
    for id in runs.into_iter().flatten() {
        ended.push(ended_run(&client, &id).await);
    }
    assert!(ended.len() >= 75, "{}", ended.len());
    server.upstream.release();

    // One branch: each answer directly under its own message, each message once.
    let document = "query($id: ID!) { session(id: $id) { activeRun { id }
        messages(last: 100) { nodes { id role run { id input { id } output { id } } } } } }";
    let data = client.data(document, &json!({ "id": session })).await;
    assert_eq!(data["session"]["activeRun"], Value::Null);
    let nodes = data["session"]["messages"]["nodes"].as_array().unwrap();
    for (before, node) in nodes.iter().zip(&nodes[1..]) {
        if node["role"] == "ASSISTANT" {
            assert_eq!(before["id"], node["run"]["input"]["id"]);
        }
    }
    let next = chat(&client, Some(&session), "The last").await;
    assert_eq!(next["run"]["status"], "COMPLETED");
}
