//! Going on from an earlier message in a session of its own.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{SEND, chat, half_said, input, messages, send, string};

const FORK: &str = "mutation($id: ID!, $title: String) {
    forkSession(input: { messageId: $id, title: $title }) { session { id title agent { name }
      head { id } messages { nodes { id text parent { id } run { id } } } } } }";

async fn fork(client: &Client, message: &Value) -> Value {
    let mut data = client.data(FORK, &json!({ "id": message })).await;
    data["forkSession"]["session"].take()
}

pub(crate) async fn a_session_goes_on_in_two_ways(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "One").await;
    let session = string(&first["session"]["id"]);
    chat(&client, Some(&session), "Two").await;

    let forked = fork(&client, &first["message"]["id"]).await;

    let other = string(&forked["id"]);
    assert_ne!(other, session);
    assert_eq!(forked["title"], "One");
    let nodes = forked["messages"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert_ne!(nodes[1]["id"], first["message"]["id"], "a copy");
    assert_eq!(nodes[1]["parent"]["id"], nodes[0]["id"]);
    assert_eq!(forked["head"]["id"], nodes[1]["id"]);
    assert_eq!(nodes[1]["run"]["id"], first["run"]["id"]);
    let answer = chat(&client, Some(&other), "Else").await;
    assert_eq!(answer["message"]["text"], "echo 4: Else");
    assert_eq!(messages(&client, &session).await.len(), 4);
    assert_eq!(
        messages(&client, &other).await,
        [
            "USER: One",
            "ASSISTANT: echo 2: One",
            "USER: Else",
            "ASSISTANT: echo 4: Else"
        ]
    );
    // What happens to the one is nothing to the other.
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    client.data(delete, &json!({ "id": session })).await;
    assert_eq!(messages(&client, &other).await.len(), 4);
    let renamed = client
        .data(
            FORK,
            &json!({ "id": forked["head"]["id"], "title": "Mine" }),
        )
        .await;
    assert_eq!(renamed["forkSession"]["session"]["title"], "Mine");
}

/// A fork begins at what is there: not at others' messages, nor at what still waits.
pub(crate) async fn a_fork_needs_a_message_in_the_tree(db: Arc<Database>) {
    let setup = Setup::new()
        .key("ann-key", "acme", "ann")
        .key("bob-key", "acme", "bob");
    let server = setup.on(&db).start().await;
    let (client, bob) = (server.client_with("ann-key"), server.client_with("bob-key"));
    server.upstream.then(half_said());
    let (session, _) = send(&client, None, "Count").await;
    let mut variables = input(Some(&session), "Wait");
    variables["input"]["onActiveRun"] = "ENQUEUE".into();
    client.data(SEND, &variables).await;
    let document =
        "query($id: ID!) { session(id: $id) { head { id } enqueuedRuns { input { id } } } }";
    let seen = client.data(document, &json!({ "id": session })).await;
    let waiting = &seen["session"]["enqueuedRuns"][0]["input"]["id"];
    let head = &seen["session"]["head"]["id"];
    for (client, message) in [(&client, waiting), (&bob, head)] {
        let error = client.error(FORK, &json!({ "id": message })).await;
        assert_eq!(error["extensions"]["code"], "NOT_FOUND");
        assert_eq!(error["extensions"]["field"], "input.messageId");
    }
    let regenerate = "mutation($id: ID!) { regenerate(input: { messageId: $id }) { run { id } } }";
    let error = client.error(regenerate, &json!({ "id": waiting })).await;
    assert_eq!(error["extensions"]["code"], "CONFLICT", "{error}");
    // A message whose answer is being made can be forked from.
    assert_eq!(
        fork(&client, head).await["messages"]["nodes"][0]["text"],
        "Count"
    );
    server.upstream.release();
}
