//! Agents that are made and changed through the API.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::process;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{SEND, chat, ended_run, half_said, messages, run, string};
use crate::support::upstream::Upstream;
use crate::support::wait::soon;

const AGENT: &str = "id name description source instructions models archivedAt
    parameters { temperature topP seed maxOutputTokens } tools { name }
    limits { historyMessages runTimeoutS stepTimeoutS maxSteps } currentVersion { number }";

pub(crate) fn pirate() -> Value {
    json!({
        "name": "pirate", "description": "Answers like a pirate.", "instructions": "Be a pirate.",
        "models": ["openai/gpt-4.1", "openai/gpt-4.1-mini"], "tools": ["calculator"],
        "parameters": { "temperature": 0.5, "topP": 0.9, "seed": u64::MAX.to_string(),
                        "maxOutputTokens": 100 },
        "limits": { "historyMessages": 4, "runTimeoutS": 60, "stepTimeoutS": 30, "maxSteps": 3 },
    })
}

pub(crate) fn mutation(name: &str) -> String {
    let kind = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    format!("mutation($input: {kind}Input!) {{ {name}(input: $input) {{ agent {{ {AGENT} }} }} }}")
}

/// The agent that a mutation gives.
pub(crate) async fn changed(client: &Client, name: &str, input: Value) -> Value {
    let mut data = client
        .data(&mutation(name), &json!({ "input": input }))
        .await;
    data[name]["agent"].take()
}

pub(crate) async fn refused(client: &Client, name: &str, input: Value) -> Value {
    let error = client
        .error(&mutation(name), &json!({ "input": input }))
        .await;
    json!([
        error["extensions"]["code"],
        error["extensions"]["field"],
        error["message"]
    ])
}

pub(crate) async fn delete(client: &Client, id: &Value) -> Value {
    let document = format!(
        "mutation($id: ID!) {{ deleteAgent(id: $id) {{ deletedAgentId agent {{ {AGENT} }} }} }}"
    );
    let mut data = client.data(&document, &json!({ "id": id })).await;
    data["deleteAgent"].take()
}

/// Asks an agent in a new session; the whole payload.
async fn ask(client: &Client, agent: &str, text: &str) -> Value {
    let document = "mutation($input: ChatInput!) { chat(input: $input) { session { id }
        message { text } run { id agent { name } agentVersion { number } } } }";
    let input = json!({ "input": { "agent": agent, "message": { "text": text } } });
    client.data(document, &input).await["chat"].take()
}

pub(crate) async fn numbers(client: &Client, id: &Value) -> Vec<i64> {
    let document = "query($id: ID!) { node(id: $id) { ... on Agent {
        versions(first: 2) { nodes { number agent { id } } pageInfo { hasNextPage endCursor } } } } }";
    let page = client.data(document, &json!({ "id": id })).await;
    let first = &page["node"]["versions"];
    let mut nodes = first["nodes"].as_array().unwrap().clone();
    assert!(nodes.iter().all(|node| node["agent"]["id"] == *id));
    let rest = "query($id: ID!, $after: String) { node(id: $id) { ... on Agent {
        versions(after: $after) { nodes { number } pageInfo { hasNextPage } } } } }";
    let after = json!({ "id": id, "after": first["pageInfo"]["endCursor"] });
    let page = client.data(rest, &after).await;
    assert_eq!(page["node"]["versions"]["pageInfo"]["hasNextPage"], false);
    nodes.extend(
        page["node"]["versions"]["nodes"]
            .as_array()
            .unwrap()
            .clone(),
    );
    nodes
        .iter()
        .map(|node| node["number"].as_i64().unwrap())
        .collect()
}

pub(crate) async fn an_agent_is_made_and_changed(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let made = changed(&client, "createAgent", pirate()).await;
    let (id, mut expected) = (made["id"].clone(), pirate());
    expected["id"] = id.clone();
    expected["source"] = json!("API");
    expected["archivedAt"] = json!(null);
    expected["tools"] = json!([{ "name": "calculator" }]);
    expected["currentVersion"] = json!({ "number": 1 });
    assert_eq!(made, expected);
    // Sent once more, as after a broken connection.
    assert_eq!(changed(&client, "createAgent", pirate()).await, made);
    let names = client
        .data("{ agents { nodes { name } } }", &json!({}))
        .await;
    let names = names["agents"]["nodes"].to_string();
    assert_eq!(
        names,
        r#"[{"name":"pirate"},{"name":"research"},{"name":"support"}]"#
    );

    let answer = ask(&client, "pirate", "Ahoy").await;
    assert_eq!(answer["run"]["agentVersion"]["number"], 1);
    let asked = server.upstream.received().pop().unwrap().body;
    assert_eq!(asked["model"], "gpt-4.1");
    assert_eq!(asked["messages"][0]["content"], "Be a pirate.");
    assert_eq!(asked["tools"][0]["function"]["name"], "calculator");

    let change = json!({ "id": id, "expectedVersion": 1, "instructions": "Be a captain.",
        "limits": { "maxSteps": 2 } });
    let second = changed(&client, "updateAgent", change.clone()).await;
    assert_eq!(second["currentVersion"]["number"], 2);
    assert_eq!(second["instructions"], "Be a captain.");
    assert_eq!(
        second["parameters"], made["parameters"],
        "what is absent stays"
    );
    assert_eq!(
        second["limits"]["runTimeoutS"],
        json!(null),
        "limits are replaced whole"
    );
    assert_eq!(
        changed(&client, "updateAgent", change.clone()).await,
        second
    );
    let mut late = change.clone();
    late["instructions"] = json!("Be a cook.");
    let error = client
        .error(&mutation("updateAgent"), &json!({ "input": late }))
        .await;
    let extensions = json!({ "code": "CONFLICT", "field": "input.expectedVersion",
        "currentVersion": 2 });
    assert_eq!(error["extensions"], extensions, "{error}");

    // A session goes on with the new version, and tells its runs' versions apart.
    let session = string(&answer["session"]["id"]);
    chat(&client, Some(&session), "And now?").await;
    let asked = server.upstream.received().pop().unwrap().body;
    assert_eq!(asked["messages"][0]["content"], "Be a captain.");

    assert_eq!(numbers(&client, &id).await, [2, 1]);
}

pub(crate) async fn an_agent_goes_back_and_is_deleted(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let made = changed(&client, "createAgent", pirate()).await;
    let id = made["id"].clone();
    let change = json!({ "id": id, "expectedVersion": 1, "instructions": "Be a captain." });
    changed(&client, "updateAgent", change).await;
    let session = string(&ask(&client, "pirate", "Ahoy").await["session"]["id"]);
    let back = json!({ "id": id, "version": 1, "expectedVersion": 2 });
    let first = changed(&client, "setCurrentAgentVersion", back.clone()).await;
    assert_eq!(
        (&first["currentVersion"], &first["instructions"]),
        (&json!({ "number": 1 }), &made["instructions"])
    );
    assert_eq!(
        changed(&client, "setCurrentAgentVersion", back).await,
        first
    );
    let missing = json!({ "id": id, "version": 9, "expectedVersion": 1 });
    let told = refused(&client, "setCurrentAgentVersion", missing).await;
    assert_eq!(
        told,
        json!(["NOT_FOUND", "input.version", "the agent has no version 9"])
    );
    let third = json!({ "id": id, "expectedVersion": 1, "description": "New." });
    let third = changed(&client, "updateAgent", third).await;
    assert_eq!(
        third["currentVersion"]["number"], 3,
        "numbers are never given twice"
    );
    assert_eq!(numbers(&client, &id).await, [3, 2, 1]);

    let deleted = delete(&client, &id).await;
    assert_eq!(deleted["deletedAgentId"], id);
    assert!(deleted["agent"]["archivedAt"].is_string());
    assert_eq!(delete(&client, &id).await, deleted);
    assert_eq!(
        messages(&client, &session).await.len(),
        2,
        "its sessions stay readable"
    );
    let input = json!({ "input": { "sessionId": session, "message": { "text": "Hello?" } } });
    let error = client.error(SEND, &input).await;
    assert_eq!(error["extensions"]["code"], "CONFLICT", "{error}");
    let again = json!({ "id": id, "expectedVersion": 3, "description": "Back." });
    let told = refused(&client, "updateAgent", again).await;
    assert_eq!(
        told,
        json!(["CONFLICT", "input.id", "the agent was deleted"])
    );

    let new = changed(&client, "createAgent", pirate()).await;
    assert_ne!(new["id"], id, "the name is free, for another agent");
    assert_eq!(new["currentVersion"]["number"], 1);
    assert_eq!(
        ask(&client, "pirate", "Ahoy").await["run"]["agent"]["name"],
        "pirate"
    );
    let error = client.error(SEND, &input).await;
    assert_eq!(
        error["extensions"]["code"], "CONFLICT",
        "old sessions stay with the old one"
    );
}

pub(crate) async fn an_agent_is_there_on_every_server(db: Arc<Database>) {
    let (one, two) = (
        Setup::new().on(&db).start().await,
        Setup::new().on(&db).start().await,
    );
    let made = changed(&one.client(), "createAgent", pirate()).await;
    let there = two.client();
    assert_eq!(
        ask(&there, "pirate", "Ahoy").await["run"]["agentVersion"]["number"],
        1
    );
    let change = json!({ "id": made["id"], "expectedVersion": 1, "instructions": "Be a cook." });
    changed(&one.client(), "updateAgent", change).await;
    assert_eq!(
        ask(&there, "pirate", "Ahoy").await["run"]["agentVersion"]["number"],
        2
    );
    let document = "mutation { createSession(input: { agent: \"pirate\" }) {
        session { agent { name currentVersion { number } } } } }";
    let data = there.data(document, &json!({})).await;
    let agent = &data["createSession"]["session"]["agent"];
    assert_eq!(
        *agent,
        json!({ "name": "pirate", "currentVersion": { "number": 2 } })
    );
    // Of several who change one version, one does.
    let change = |n: usize| {
        json!({ "input": { "id": made["id"], "expectedVersion": 2,
        "instructions": format!("Be number {n}.") } })
    };
    let (document, servers) = (mutation("updateAgent"), [&one, &two]);
    let all = (0..6).map(|n| {
        let (client, document, input) = (servers[n % 2].client(), document.clone(), change(n));
        async move { client.response(&document, &input).await }
    });
    let all = futures_util::future::join_all(all).await;
    let failed: Vec<_> = all
        .iter()
        .filter(|one| one.get("errors").is_some())
        .collect();
    assert_eq!(failed.len(), 5, "{all:?}");
    for response in failed {
        assert_eq!(
            response["errors"][0]["extensions"]["currentVersion"], 3,
            "{response}"
        );
    }
}

pub(crate) async fn an_agent_belongs_to_its_tenant(db: Arc<Database>) {
    let scope = "scopes = [\"agents:write\"]\n";
    let server = Setup::new()
        .key("ann", "acme", "ann")
        .file(scope)
        .key("carol", "acme", "carol")
        .key("bob", "bcorp", "bob")
        .file(scope)
        .on(&db)
        .start()
        .await;
    let [ann, carol, bob] = ["ann", "carol", "bob"].map(|key| server.client_with(key));
    let made = changed(&ann, "createAgent", pirate()).await;
    let id = &made["id"];
    // Others of the tenant see and use it; to change it they need the scope.
    assert_eq!(
        ask(&carol, "pirate", "Ahoy").await["run"]["agent"]["name"],
        "pirate"
    );
    let told = refused(&carol, "createAgent", pirate()).await;
    assert_eq!(told[0], "FORBIDDEN");
    assert!(told[2].as_str().unwrap().contains("agents:write"), "{told}");
    let change = json!({ "id": id, "expectedVersion": 1, "description": "Mine." });
    assert_eq!(
        refused(&carol, "updateAgent", change.clone()).await[0],
        "FORBIDDEN"
    );
    // To other tenants it is not there, and its name is free.
    let found = bob
        .data(
            "query($id: ID!) { node(id: $id) { id } }",
            &json!({ "id": id }),
        )
        .await;
    assert_eq!(found["node"], json!(null));
    let told = refused(&bob, "updateAgent", change).await;
    assert_eq!(
        (&told[0], &told[1]),
        (&json!("NOT_FOUND"), &json!("input.id"))
    );
    let document = "mutation($id: ID!) { deleteAgent(id: $id) { deletedAgentId } }";
    let error = bob.error(document, &json!({ "id": id })).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "NOT_FOUND", "field": "id" })
    );
    let input = json!({ "input": { "agent": "pirate", "message": { "text": "Ahoy" } } });
    assert_eq!(
        bob.error(SEND, &input).await["extensions"]["field"],
        "input.agent"
    );
    let his = changed(&bob, "createAgent", pirate()).await;
    assert_ne!(his["id"], *id);
    // Those of files are everybody's and nobody's to change.
    let file = ann
        .data("{ agent(name: \"support\") { id } }", &json!({}))
        .await;
    let id = &file["agent"]["id"];
    let change = json!({ "id": id, "expectedVersion": 1, "description": "Mine." });
    let told = refused(&ann, "updateAgent", change).await;
    assert_eq!(
        (&told[0], &told[1]),
        (&json!("FORBIDDEN"), &json!("input.id"))
    );
    assert!(
        told[2].as_str().unwrap().contains("comes from a file"),
        "{told}"
    );
    let set = json!({ "id": id, "expectedVersion": 1, "version": 1 });
    assert_eq!(
        refused(&ann, "setCurrentAgentVersion", set).await[0],
        "FORBIDDEN"
    );
    let error = ann.error(document, &json!({ "id": id })).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "FORBIDDEN", "field": "id" })
    );
}

/// The server dies, its agent is changed and deleted, and the run goes on with what it had.
#[tokio::test]
async fn a_run_keeps_its_version_whatever_becomes_of_the_agent() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut killed = process(&folder, &upstream, &[]).await;
    let client = killed.client();
    let made = changed(&client, "createAgent", pirate()).await;
    upstream.then(half_said());
    let input = json!({ "input": { "agent": "pirate", "message": { "text": "Ahoy" } } });
    let started = client.data(SEND, &input).await;
    let id = string(&started["sendMessage"]["run"]["id"]);
    soon("the run", upstream.wait_holding(1)).await;
    let change = json!({ "id": made["id"], "expectedVersion": 1, "instructions": "Be a cook." });
    changed(&client, "updateAgent", change).await;
    delete(&client, &made["id"]).await;
    assert_eq!(run(&client, &id).await["status"], "RUNNING");
    killed.kill();
    assert_eq!(killed.exit_code().await, None);

    let next = process(&folder, &upstream, &[]).await;
    let ended = ended_run(&next.client(), &id).await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    let asked = upstream.received().pop().unwrap().body;
    assert_eq!(asked["messages"][0]["content"], "Be a pirate.");
    let document = "query($id: ID!) { run(id: $id) { agentVersion { number instructions } } }";
    let data = next.client().data(document, &json!({ "id": id })).await;
    let version = json!({ "number": 1, "instructions": "Be a pirate." });
    assert_eq!(data["run"]["agentVersion"], version);
}
