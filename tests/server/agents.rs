//! Choosing an agent.

use std::sync::Arc;

use serde_json::json;

use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::string;

pub(crate) async fn the_shipped_agents_are_listed_with_their_configuration(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let document = "{ agents { nodes {
        id name description source model instructions
        parameters { temperature maxOutputTokens topP } currentVersion { number instructions } } } }";
    let data = server.client().data(document, &json!({})).await;
    let agents = data["agents"]["nodes"].as_array().unwrap();
    assert_eq!(agents.len(), 2);
    let research = &agents[0];
    assert_eq!(research["name"], "research");
    assert_eq!(research["source"], "FILE");
    assert_eq!(research["model"], "openai/gpt-4.1-mini");
    assert_eq!(
        research["parameters"],
        json!({ "temperature": 0.3, "maxOutputTokens": 1024, "topP": null })
    );
    assert_eq!(research["currentVersion"]["number"], 1);
    let instructions = string(&research["instructions"]);
    assert!(
        instructions.starts_with("You are a helpful research assistant"),
        "{instructions}"
    );
    assert_eq!(
        research["currentVersion"]["instructions"],
        research["instructions"]
    );
    assert_eq!(agents[1]["name"], "support");
}

pub(crate) async fn an_agent_is_found_by_name_and_by_id(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let by_name = client
        .data(r#"{ agent(name: "support") { id name } }"#, &json!({}))
        .await;
    let id = &by_name["agent"]["id"];
    assert!(string(id).starts_with("agt_"), "{id}");
    let document = "query($id: ID!) { node(id: $id) { __typename id ... on Agent { name } } }";
    let by_id = client.data(document, &json!({ "id": id })).await;
    assert_eq!(
        by_id["node"],
        json!({ "__typename": "Agent", "id": id, "name": "support" })
    );
}
