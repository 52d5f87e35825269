//! Tenants, and owners within a tenant, never meet.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    SEND, WHOLE, chat, ended_run, half_said, input, messages, run, send, string,
};

const ALICE: &str = "key-of-alice";
/// Another tenant; another owner in the same tenant; the same owner name in another tenant.
const OTHERS: [&str; 3] = ["key-of-bob", "key-of-carol", "key-of-other-alice"];

async fn server(db: &Arc<Database>) -> TestServer {
    Setup::new()
        .key(ALICE, "acme", "alice")
        .key(OTHERS[0], "bcorp", "bob")
        .key(OTHERS[1], "acme", "carol")
        .key(OTHERS[2], "bcorp", "alice")
        .on(db)
        .start()
        .await
}

async fn check_not_found(client: &Client, document: &str, id: &str, field: &str) {
    let error = client.error(document, &json!({ "id": id })).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "NOT_FOUND", "field": field }),
        "{document}: {error}"
    );
}

pub(crate) async fn nobody_sees_what_belongs_to_others(db: Arc<Database>) {
    let server = server(&db).await;
    let alice = server.client_with(ALICE);
    let answer = chat(&alice, None, "A secret").await;
    let of = |what: &str| string(&answer[what]["id"]);
    let (session, run_id) = (of("session"), of("run"));
    let ids = [
        session.clone(),
        run_id.clone(),
        of("message"),
        of("userMessage"),
    ];
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";
    let own = alice.data(nodes, &json!({ "ids": ids })).await;
    assert_eq!(own["nodes"][2]["__typename"], "Message", "{own}");

    for key in OTHERS {
        let other = server.client_with(key);
        let seen = other.data(nodes, &json!({ "ids": ids })).await;
        assert_eq!(seen["nodes"], json!([null, null, null, null]), "{key}");
        for id in &ids {
            let data = other
                .data(
                    "query($id: ID!) { node(id: $id) { id } }",
                    &json!({ "id": id }),
                )
                .await;
            assert_eq!(data["node"], Value::Null);
        }
        let data = other
            .data("{ sessions { nodes { id } } }", &json!({}))
            .await;
        assert_eq!(data["sessions"]["nodes"], json!([]), "{key}");
        let session_query = "query($id: ID!) { session(id: $id) { title } }";
        check_not_found(&other, session_query, &session, "id").await;
        let run_query = "query($id: ID!) { run(id: $id) { status } }";
        check_not_found(&other, run_query, &run_id, "id").await;
        let follow = "subscription($run: ID!) { runEvents(runId: $run) { sequence } }";
        let mut stream = other.events(follow, &json!({ "run": run_id })).await;
        let refused = stream.next().await.unwrap();
        assert_eq!(
            refused["errors"][0]["extensions"],
            json!({ "code": "NOT_FOUND", "field": "runId" }),
            "{refused}"
        );
        assert!(refused["data"].is_null(), "{refused}");
    }
    // The agents are everybody's.
    let data = server
        .client_with(OTHERS[0])
        .data("{ agents { nodes { name } } }", &json!({}))
        .await;
    assert_eq!(data["agents"]["nodes"][0]["name"], "research");
}

pub(crate) async fn nobody_changes_what_belongs_to_others(db: Arc<Database>) {
    let server = server(&db).await;
    let alice = server.client_with(ALICE);
    server.upstream.then(half_said());
    let (session, active) = send(&alice, None, "Count").await;
    server.upstream.wait_holding(1).await;
    for key in OTHERS {
        let other = server.client_with(key);
        let cancel = "mutation($id: ID!) { cancelRun(id: $id) { run { id } } }";
        check_not_found(&other, cancel, &active, "id").await;
        let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
        check_not_found(&other, delete, &session, "id").await;
        let update = "mutation($id: ID!) { updateSession(input: { id: $id, title: \"Mine\" }) {
            session { id } } }";
        check_not_found(&other, update, &session, "input.id").await;
        let said = other.error(SEND, &input(Some(&session), "Let me in")).await;
        assert_eq!(
            said["extensions"],
            json!({ "code": "NOT_FOUND", "field": "input.sessionId" })
        );
    }
    assert_eq!(run(&alice, &active).await["status"], "RUNNING");
    server.upstream.release();
    ended_run(&alice, &active).await;
    assert_eq!(
        messages(&alice, &session).await,
        ["USER: Count".to_owned(), format!("ASSISTANT: {WHOLE}")]
    );
    assert_eq!(server.upstream.received().len(), 1);
}
