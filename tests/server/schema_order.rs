//! Properties of JSON Schemas: a model writes them in the order in which it is shown them, so
//! they reach it in the order in which they were given.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer, repository};
use crate::support::talk::{ended_run, string};
use crate::support::upstream::Script;

const CHAT: &str = "mutation($input: ChatInput!) { it: chat(input: $input) {
    message { id } run { id status error { message } } } }";
const AGAIN: &str = "mutation($input: RegenerateInput!) { it: regenerate(input: $input) {
    run { id } } }";
const ORDER: [&str; 3] = ["steps", "conclusion", "answer"];
const ANSWER: &str = r#"{"steps":"a","conclusion":"b","answer":"c"}"#;

/// A schema in whose order nothing is sorted.
fn thinking() -> Value {
    let mut properties = serde_json::Map::new();
    for name in ORDER {
        properties.insert(name.to_owned(), json!({ "type": "string" }));
    }
    json!({ "type": "object", "required": ORDER, "properties": properties })
}

fn keys(schema: &Value) -> Vec<&str> {
    let properties = schema["properties"].as_object();
    let keys = properties.into_iter().flat_map(serde_json::Map::keys);
    keys.map(String::as_str).collect()
}

/// The order in which the last request's answer has its properties.
fn asked(server: &TestServer) -> Vec<String> {
    let received = server.upstream.received();
    let request = &received[received.len() - 1].body;
    let schema = &request["response_format"]["json_schema"]["schema"];
    keys(schema).into_iter().map(str::to_owned).collect()
}

/// The order of the properties of each tool of the last request.
fn tools(server: &TestServer) -> Vec<Vec<String>> {
    let received = server.upstream.received();
    let request = &received[received.len() - 1].body;
    let tools = request["tools"].as_array().cloned().unwrap_or_default();
    let order = |tool: &Value| {
        let keys = keys(&tool["function"]["parameters"]).into_iter();
        keys.map(str::to_owned).collect()
    };
    tools.iter().map(order).collect()
}

async fn say(server: &TestServer, client: &Client, input: Value) -> Value {
    server.upstream.then(Script::tokens([ANSWER]));
    let data = client.data(CHAT, &json!({ "input": input })).await;
    assert_eq!(data["it"]["run"]["status"], "COMPLETED", "{data}");
    data["it"].clone()
}

fn agents() -> TempDir {
    let folder = TempDir::new().unwrap();
    let toml = "name = \"thinker\"\ndescription = \"d\"\ninstructions = \"i\"\n\
        tools = [\"look_up\", \"listed__note\"]\n[output_schema]\ntype = \"object\"\n\
        required = [\"steps\", \"conclusion\", \"answer\"]\n\
        [output_schema.properties]\nsteps = { type = \"string\" }\n\
        conclusion = { type = \"string\" }\nanswer = { type = \"string\" }\n";
    std::fs::write(folder.path().join("thinker.toml"), toml).unwrap();
    folder
}

async fn start(folder: &TempDir, db: &Arc<Database>) -> TestServer {
    let listed = json!([{ "name": "note", "description": "d", "inputSchema": thinking() }]);
    let settings = format!(
        "[[tools.http]]\nname = \"look_up\"\ndescription = \"d\"\nmethod = \"GET\"\n\
         url = \"https://example.com\"\nparameters = '{}'\n\
         [[tools.mcp]]\nname = \"listed\"\ncommand = \"node\"\nargs = [\"{}\", '{listed}']\n",
        thinking(),
        repository("tests/mcp/listed.mjs"),
    );
    Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "thinker")
        .file(&settings)
        .on(db)
        .start()
        .await
}

pub(crate) async fn properties_reach_the_model_as_they_were_given(db: Arc<Database>) {
    let folder = agents();
    let server = start(&folder, &db).await;
    let client = server.client();
    // Of an agent's file, of a tool in the settings, of a tool server.
    say(&server, &client, json!({ "message": { "text": "?" } })).await;
    assert_eq!(asked(&server), ORDER);
    assert_eq!(tools(&server), [ORDER, ORDER]);
    // Of variables, with a client's tool.
    let client_tool = json!({ "name": "show", "description": "d", "parameters": thinking() });
    let input = json!({ "message": { "text": "?" }, "outputSchema": thinking(),
        "clientTools": [client_tool] });
    let first = say(&server, &client, input).await;
    assert_eq!(asked(&server), ORDER);
    assert_eq!(tools(&server), [ORDER; 3]);
    // Of the stored run.
    server.upstream.then(Script::tokens([ANSWER]));
    let again = json!({ "input": { "messageId": first["message"]["id"] } });
    let again = client.data(AGAIN, &again).await;
    ended_run(&client, &string(&again["it"]["run"]["id"])).await;
    assert_eq!(asked(&server), ORDER);
    assert_eq!(tools(&server), [ORDER; 3]);
    // Of a literal.
    server.upstream.then(Script::tokens([ANSWER]));
    let literal = "mutation { chat(input: { message: { text: \"?\" }, outputSchema: {
        type: \"object\", required: [\"steps\", \"conclusion\", \"answer\"], properties: {
        steps: { type: \"string\" }, conclusion: { type: \"string\" }, answer: { type: \"string\" }
        } } }) { run { status } } }";
    client.data(literal, &json!({})).await;
    assert_eq!(asked(&server), ORDER);
    // Of an agent of the API, as it is stored and read by a server that starts later.
    let create = "mutation($input: CreateAgentInput!) { createAgent(input: $input) {
        agent { id } } }";
    let agent = json!({ "input": { "name": "api", "description": "d", "instructions": "i",
        "outputSchema": thinking() } });
    client.data(create, &agent).await;
    say(
        &server,
        &client,
        json!({ "message": { "text": "?" }, "agent": "api" }),
    )
    .await;
    assert_eq!(asked(&server), ORDER);
    let later = start(&folder, &db).await;
    let client = later.client();
    say(
        &later,
        &client,
        json!({ "message": { "text": "?" }, "agent": "api" }),
    )
    .await;
    assert_eq!(asked(&later), ORDER);
    // The file is the same, so its agent is.
    let versions = "{ agent(name: \"thinker\") { currentVersion { number } } }";
    let data = client.data(versions, &json!({})).await;
    assert_eq!(data["agent"]["currentVersion"]["number"], 1, "{data}");
}

/// Two schemas that differ in nothing but the order of their properties are another agent, and
/// the same request.
pub(crate) async fn another_order_is_another_agent_and_the_same_request(db: Arc<Database>) {
    let folder = agents();
    drop(start(&folder, &db).await);
    let file = folder.path().join("thinker.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let other = text
        .replace("steps = {", "x = {")
        .replace("answer = {", "steps = {");
    std::fs::write(&file, other.replace("x = {", "answer = {")).unwrap();
    let server = start(&folder, &db).await;
    let client = server.client();
    say(&server, &client, json!({ "message": { "text": "?" } })).await;
    assert_eq!(asked(&server), ["answer", "conclusion", "steps"]);
    let forth =
        json!({ "message": { "text": "?" }, "idempotencyKey": "one", "outputSchema": thinking() });
    let first = say(&server, &client, forth.clone()).await;
    let mut back = thinking();
    let properties = back["properties"].as_object_mut().unwrap();
    let steps = properties.shift_remove("steps").unwrap();
    properties.insert("steps".to_owned(), steps);
    let mut again = forth;
    again["outputSchema"] = back;
    let data = client.data(CHAT, &json!({ "input": again })).await;
    assert_eq!(data["it"]["run"]["id"], first["run"]["id"]);
}
