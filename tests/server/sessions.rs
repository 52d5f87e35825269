//! Keeping sessions.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    cancel, chat, create_session, ended_run, half_said, messages, run, send, string,
};

pub(crate) async fn a_session_is_made_changed_and_deleted(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let create = "mutation($input: CreateSessionInput) { createSession(input: $input) {
        session { id title metadata agent { name } messages { nodes { id } } activeRun { id } } } }";
    let metadata = json!({ "tab": [1, { "x": null }], "who": "Änne" });
    let input = json!({ "agent": "support", "title": "Help", "metadata": metadata });
    let data = client.data(create, &json!({ "input": input })).await;
    let session = &data["createSession"]["session"];
    assert_eq!(session["title"], "Help");
    assert_eq!(session["metadata"], metadata);
    assert_eq!(session["agent"]["name"], "support");
    assert_eq!(session["messages"]["nodes"], json!([]));
    assert_eq!(session["activeRun"], Value::Null);
    let id = string(&session["id"]);

    let update = "mutation($input: UpdateSessionInput!) { updateSession(input: $input) {
        session { title metadata } } }";
    let change = async |input: Value| {
        let mut data = client.data(update, &json!({ "input": input })).await;
        data["updateSession"]["session"].take()
    };
    assert_eq!(
        change(json!({ "id": id, "title": "Helped" })).await,
        json!({ "title": "Helped", "metadata": metadata })
    );
    assert_eq!(
        change(json!({ "id": id, "title": null, "metadata": {} })).await,
        json!({ "title": null, "metadata": {} })
    );

    let answer = chat(&client, Some(&id), "It broke").await;
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    let deleted = client.data(delete, &json!({ "id": id })).await;
    assert_eq!(deleted["deleteSession"]["deletedSessionId"], id);
    let gone = [
        &id,
        &string(&answer["message"]["id"]),
        &string(&answer["run"]["id"]),
    ];
    let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let data = client.data(nodes, &json!({ "ids": gone })).await;
    assert_eq!(data["nodes"], json!([null, null, null]));
    let again = client.error(delete, &json!({ "id": id })).await;
    assert_eq!(again["extensions"]["code"], "NOT_FOUND");
}

/// The titles on a page of sessions, and its page information.
async fn page(client: &Client, arguments: &str) -> (Vec<String>, Value) {
    let document = format!(
        "{{ sessions({arguments}) {{ nodes {{ title }}
           pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
    );
    let mut data = client.data(&document, &json!({})).await;
    let nodes = data["sessions"]["nodes"].as_array().unwrap();
    let titles = nodes.iter().map(|node| string(&node["title"])).collect();
    (titles, data["sessions"]["pageInfo"].take())
}

pub(crate) async fn sessions_are_listed_latest_first_in_pages(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let mut first = String::new();
    for title in ["a", "b", "c", "d", "e"] {
        let answer = chat(&client, None, title).await;
        if title == "a" {
            first = string(&answer["session"]["id"]);
        }
    }
    // What got a message last comes first.
    chat(&client, Some(&first), "again").await;
    let (titles, info) = page(&client, "first: 2").await;
    assert_eq!(titles, ["a", "e"]);
    assert_eq!(info["hasNextPage"], true);
    assert_eq!(info["hasPreviousPage"], false);
    let (titles, info) = page(&client, &format!("first: 2, after: {}", info["endCursor"])).await;
    assert_eq!(titles, ["d", "c"]);
    assert_eq!(info["hasNextPage"], true);
    let (titles, info) = page(&client, &format!("first: 2, after: {}", info["endCursor"])).await;
    assert_eq!(titles, ["b"]);
    assert_eq!(info["hasNextPage"], false);
    let (titles, info) = page(
        &client,
        &format!("last: 3, before: {}", info["startCursor"]),
    )
    .await;
    assert_eq!(titles, ["e", "d", "c"]);
    assert_eq!(info["hasPreviousPage"], true);
    assert_eq!(page(&client, "last: 2").await.0, ["c", "b"]);
}

pub(crate) async fn sessions_are_filtered(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let create = "mutation($input: CreateSessionInput) { createSession(input: $input) {
        session { id } } }";
    for (agent, title) in [
        ("support", "100% broken"),
        ("support", "Printer"),
        ("research", "printers of 1980"),
    ] {
        let input = json!({ "input": { "agent": agent, "title": title } });
        client.data(create, &input).await;
    }
    let titles = async |filter: &str| page(&client, &format!("filter: {{ {filter} }}")).await.0;
    assert_eq!(
        titles(r#"titleContains: "PRINT""#).await,
        ["printers of 1980", "Printer"]
    );
    assert_eq!(
        titles(r#"titleContains: "print", agent: "support""#).await,
        ["Printer"]
    );
    // Nothing in it is a wildcard.
    assert_eq!(titles(r#"titleContains: "%""#).await, ["100% broken"]);
    assert_eq!(titles(r#"titleContains: "_""#).await, [""; 0]);
}

pub(crate) async fn messages_are_paged_both_ways(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let session = create_session(&client).await;
    for text in ["1", "2", "3"] {
        chat(&client, Some(&session), text).await;
    }
    let whole = messages(&client, &session).await;
    let page = async |arguments: String| {
        let document = format!(
            "query($id: ID!) {{ session(id: $id) {{ messages({arguments}) {{
               nodes {{ role text }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
             }} }} }}"
        );
        let mut data = client.data(&document, &json!({ "id": session })).await;
        let nodes = data["session"]["messages"]["nodes"].as_array().unwrap();
        let line = |node: &Value| format!("{}: {}", string(&node["role"]), string(&node["text"]));
        let lines: Vec<_> = nodes.iter().map(line).collect();
        (lines, data["session"]["messages"]["pageInfo"].take())
    };
    let (latest, info) = page("last: 4".to_owned()).await;
    assert_eq!(latest, whole[2..]);
    assert_eq!(info["hasPreviousPage"], true);
    assert_eq!(info["hasNextPage"], false);
    let (earlier, info) = page(format!("last: 4, before: {}", info["startCursor"])).await;
    assert_eq!(earlier, whole[..2]);
    assert_eq!(info["hasPreviousPage"], false);
    let (next, _) = page(format!("first: 3, after: {}", info["endCursor"])).await;
    assert_eq!(next, whole[2..5]);
}

pub(crate) async fn a_session_with_an_active_run_stays(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, active) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    let error = client.error(delete, &json!({ "id": session })).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "CONFLICT", "field": "id", "runId": active })
    );
    assert_eq!(run(&client, &active).await["status"], "RUNNING");
    cancel(&client, &active).await;
    ended_run(&client, &active).await;
    client.data(delete, &json!({ "id": session })).await;
}

/// What can be listed at once is what the executor would have made of it.
pub(crate) async fn a_page_is_the_same_at_once_and_through_the_executor(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let id = string(&chat(&client, None, "One").await["session"]["id"]);
    chat(&client, Some(&id), "Two").await;
    let at_once = "__typename
        pageInfo { __typename hasNextPage hasPreviousPage startCursor endCursor }
        edges { __typename cursor node { ...Said on: __typename } }
        latest: nodes { ... on Node { id } finishReason createdAt }";
    let document = |more: &str| {
        format!(
            "query($id: ID!, $never: Boolean = false) {{ session(id: $id) {{
               messages(last: 3) {{ {at_once} {more} }} none: messages(after: null, before: null,
                 first: 1) {{ ...Page }} }} }}
             fragment Said on Message {{ id role text @skip(if: $never) }}
             fragment Page on MessageConnection {{ edges {{ node {{ text }} }} {more} }}"
        )
    };
    let ask = async |more: &str| client.data(&document(more), &json!({ "id": id })).await;
    let listed = ask("").await;
    let messages = &listed["session"]["messages"];
    assert_eq!(messages["edges"][2]["node"]["on"], "Message");
    assert_eq!(messages["pageInfo"]["hasPreviousPage"], true);

    let mut whole = ask("slow: edges { node { run { id } } }").await;
    for page in ["messages", "none"] {
        let slow = whole["session"][page]
            .as_object_mut()
            .unwrap()
            .remove("slow");
        assert!(slow.unwrap()[0]["node"]["run"]["id"].is_string());
    }
    assert_eq!(whole, listed);

    let twice = "{ edges { cursor } edges { node { id } } }";
    let twice = format!("query($id: ID!) {{ session(id: $id) {{ messages {twice} }} }}");
    let data = client.data(&twice, &json!({ "id": id })).await;
    let first = &data["session"]["messages"]["edges"][0];
    assert!(
        first["cursor"].is_string() && first["node"]["id"].is_string(),
        "{first}"
    );
}
