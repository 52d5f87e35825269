//! Choosing an agent.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::server::{Setup, repository};
use crate::support::talk::string;

pub(crate) async fn the_shipped_agents_are_listed_with_their_configuration(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let document = "{ agents { nodes {
        id name description source model instructions
        parameters { temperature maxOutputTokens topP } currentVersion { number instructions } } } }";
    let data = server.client().data(document, &json!({})).await;
    let agents = data["agents"]["nodes"].as_array().unwrap();
    assert_eq!(agents.len(), 2);
    for (agent, name) in agents.iter().zip(["research", "support"]) {
        let file = std::fs::read_to_string(repository(&format!("agents/{name}.toml"))).unwrap();
        let file: Value = toml::from_str(&file).unwrap();
        for field in ["name", "description", "instructions"] {
            assert_eq!(agent[field], file[field], "{name}.{field}");
        }
        assert_eq!(
            agent["parameters"],
            json!({
                "temperature": file["parameters"]["temperature"],
                "maxOutputTokens": file["parameters"]["max_output_tokens"],
                "topP": file["parameters"].get("top_p"),
            })
        );
        assert_eq!(agent["source"], "FILE");
        assert_eq!(agent["model"], "openai/gpt-6-luna");
        let version = &agent["currentVersion"];
        assert_eq!(version["number"], 1);
        assert_eq!(version["instructions"], file["instructions"]);
    }
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
