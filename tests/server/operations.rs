//! Operations of the server's own schema as tools.

use serde_json::{Value, json};

use crate::agent_tools::{PARTS, agents, call as calls, called, setup};
use crate::support::server::Setup;
use crate::support::talk::{chat, string};
use crate::support::upstream::Script;
use crate::tools::{CALL, failure, output, refused};

/// A tool that executes a document, with more settings of it.
fn tool(document: &str, more: &str) -> String {
    format!(
        "[[tools.operations]]\nname = \"my_sessions\"\ndescription = \"Lists them.\"\n\
         document = '''{document}'''\n{more}\n"
    )
}

const SESSIONS: &str = "query($first: Int! = 5, $filter: SessionFilter) {
    sessions(first: $first, filter: $filter) { nodes { title } } }";

#[tokio::test]
async fn an_operation_is_executed_as_its_caller() {
    let settings = tool(SESSIONS, "response_pointer = \"/sessions/nodes\"");
    let server = Setup::new()
        .key("ann-key", "acme", "ann")
        .file("scopes = [\"tools:call\"]\n")
        .key("bob-key", "acme", "bob")
        .file("scopes = [\"tools:call\"]\n")
        .file(&settings)
        .start()
        .await;
    let (ann, bob) = (server.client_with("ann-key"), server.client_with("bob-key"));
    for title in ["Tea", "Toast"] {
        let make = "mutation($title: String!) { createSession(input: { title: $title }) {
            session { id } } }";
        ann.data(make, &json!({ "title": title })).await;
    }
    let listed = output(&ann, "my_sessions", json!({})).await;
    assert_eq!(listed, r#"[{"title":"Toast"},{"title":"Tea"}]"#);
    let filtered = json!({ "first": 1, "filter": { "titleContains": "ea" } });
    let listed = output(&ann, "my_sessions", filtered).await;
    assert_eq!(listed, r#"[{"title":"Tea"}]"#);
    assert_eq!(output(&bob, "my_sessions", json!({})).await, "[]");
}

#[tokio::test]
async fn an_operation_has_its_callers_limits() {
    let settings = format!("{}[limits]\nquery_complexity = 40\n", tool(SESSIONS, ""));
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    let tools = client
        .data("{ tools { name parameters idempotent } }", &json!({}))
        .await;
    let tools = tools["tools"].as_array().unwrap();
    let tool = tools
        .iter()
        .find(|tool| tool["name"] == "my_sessions")
        .unwrap();
    assert_eq!(tool["idempotent"], true);
    let parameters = &tool["parameters"]["properties"];
    assert_eq!(parameters["first"]["default"], 5);
    let agent = &parameters["filter"]["properties"]["agent"];
    assert_eq!(agent["type"], json!(["string", "null"]));

    let costly = failure(&client, "my_sessions", json!({ "first": 50 })).await;
    assert!(
        costly.starts_with("FAILED: ") && costly.contains("40"),
        "{costly}"
    );
    let wrong = failure(&client, "my_sessions", json!({ "first": 0 })).await;
    assert!(
        wrong.starts_with("FAILED: `first` must be from 1"),
        "{wrong}"
    );
    let input = json!({ "name": "my_sessions", "arguments": { "frist": 1 } });
    let error = client.error(CALL, &json!({ "input": input })).await;
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_model_calls_an_operation() {
    let folder = agents("");
    let file = folder.path().join("handy.toml");
    let agent = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, agent.replace("\"calculator\"", "\"my_sessions\"")).unwrap();
    let settings = tool(SESSIONS, "response_pointer = \"/sessions/nodes/0\"");
    let server = setup(&folder)
        .key("ann-key", "acme", "ann")
        .file(&settings)
        .start()
        .await;
    let script = called(calls(Script::stream(), 0, "my_sessions", "{}"));
    server.upstream.then(script);
    server.upstream.then(Script::tokens(["You."]));
    let client = server.client_with("ann-key");
    let answer = chat(&client, None, "Who am I?").await;
    let run = json!({ "id": string(&answer["run"]["id"]) });
    let data = client.data(PARTS, &run).await;
    let parts = data["run"]["output"]["parts"].as_array().unwrap();
    let result = parts
        .iter()
        .find(|part| part["__typename"] == "ToolResultPart");
    assert_eq!(result.unwrap()["text"], r#"{"title":"Who am I?"}"#);
}

#[tokio::test]
async fn an_operation_may_be_named_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("documents.json");
    let document = "mutation Make($title: String!) {
        createSession(input: { title: $title }) { session { title } } }";
    std::fs::write(&manifest, json!({ "make": document }).to_string()).unwrap();
    let settings = tool("", "").replace("document = ''''''", "document_id = \"make\"");
    let server = Setup::new()
        .set("documents.manifest", manifest.display())
        .set("documents.trusted_documents", "on")
        .file(&settings)
        .start()
        .await;
    let made = output(&server.client(), "my_sessions", json!({ "title": "Made" })).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(made["createSession"]["session"]["title"], "Made");
}

#[tokio::test]
async fn what_is_no_tool_stops_start_up() {
    for (document, more, why) in [
        (
            "subscription { sessionChanged { id } }",
            "",
            "a subscription cannot be a tool",
        ),
        (
            "mutation { ...Start } fragment Start on Mutation {
               chat(input: { message: { text: \"Hi\" } }) { run { id } } }",
            "",
            "`chat` cannot be a tool",
        ),
        ("{ sessions { nodes { tilte } } }", "", "tilte"),
        (
            "query A { server { activeRuns } } query B { server { activeRuns } }",
            "",
            "select one with `operation`",
        ),
        (
            "{ server { activeRuns } }",
            "operation = \"Other\"",
            "no operation \"Other\"",
        ),
        (
            "{ server { activeRuns } }",
            "document_id = \"x\"",
            "`document` or `document_id`",
        ),
        (
            "{ server { activeRuns } }",
            "response_pointer = \"viewer\"",
            "must begin with /",
        ),
        ("{ server { activeRuns ", "", "my_sessions"),
    ] {
        let told = refused(&tool(document, more)).await;
        assert!(told.contains("tools.operations.document"), "{told}");
        assert!(told.contains(why), "{told}");
    }
    let absent = tool("", "").replace("document = ''''''", "document_id = \"absent\"");
    let told = refused(&absent).await;
    assert!(told.contains("tools.operations.document_id"), "{told}");
}
