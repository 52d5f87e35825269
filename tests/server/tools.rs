//! Tools: which there are, and calling one directly.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer};

pub(crate) const CALL: &str = "mutation($input: CallToolInput!) { callTool(input: $input) {
    tool { name } output { text truncated } failure { code message } } }";

/// What `callTool` gives, which must be no GraphQL error.
pub(crate) async fn call(client: &Client, name: &str, arguments: Value) -> Value {
    let input = json!({ "input": { "name": name, "arguments": arguments } });
    client.data(CALL, &input).await["callTool"].take()
}

/// The text of a call that must succeed.
pub(crate) async fn output(client: &Client, name: &str, arguments: Value) -> String {
    let called = call(client, name, arguments).await;
    assert_eq!(called["failure"], json!(null), "{called}");
    called["output"]["text"].as_str().unwrap().to_owned()
}

/// Why a call fails, as `CODE: message`.
pub(crate) async fn failure(client: &Client, name: &str, arguments: Value) -> String {
    let called = call(client, name, arguments).await;
    assert_eq!(called["output"], json!(null), "{called}");
    let text = |key: &str| called["failure"][key].as_str().unwrap().to_owned();
    format!("{}: {}", text("code"), text("message"))
}

/// Why the settings in a file do not start a server.
pub(crate) async fn refused(toml: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("talkgraph.toml"), toml).unwrap();
    let ended = run(program(folder.path(), &[], &[("http.port", "0")])).await;
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    ended.stderr
}

#[tokio::test]
async fn tools_are_listed_with_their_schemas() {
    let settings = "[tools.approval]\ncalculator = \"args.expression is containing('!')\"\n\
        current_time = \"always\"\n";
    let server = Setup::new().file(settings).start().await;
    let query = "{ tools { name description parameters idempotent approval } }";
    let data = server.client().data(query, &json!({})).await;
    let tools = data["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(
        names,
        [
            "calculator",
            "current_time",
            "http_fetch",
            "memory_save",
            "memory_search"
        ]
    );
    assert_eq!(tools[0]["approval"], "CONDITIONAL");
    assert_eq!(tools[1]["approval"], "ALWAYS");
    for tool in tools {
        assert_eq!(tool["parameters"]["type"], "object");
        assert_eq!(tool["idempotent"], true);
        assert!(tool["description"].as_str().unwrap().len() > 20);
    }
}

#[tokio::test]
async fn a_tool_is_called() {
    let server = TestServer::start().await;
    let client = server.client();
    let called = call(&client, "calculator", json!({ "expression": "6 * 7" })).await;
    assert_eq!(
        called,
        json!({
            "tool": { "name": "calculator" },
            "output": { "text": "42", "truncated": false },
            "failure": null,
        })
    );
    let now = output(
        &client,
        "current_time",
        json!({ "time_zone": "Europe/Zurich" }),
    )
    .await;
    assert!(now.ends_with("Europe/Zurich)"), "{now}");
    // Without arguments at all.
    let input = json!({ "input": { "name": "current_time" } });
    let data = client.data(CALL, &input).await;
    let now = data["callTool"]["output"]["text"].as_str().unwrap();
    assert!(now.ends_with("UTC)"), "{now}");
}

#[tokio::test]
async fn a_failure_is_data() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(
        failure(&client, "calculator", json!({ "expression": "1/0" })).await,
        "FAILED: division by zero"
    );
    assert_eq!(
        failure(&client, "calculator", json!({ "expression": "9^9^9^9" })).await,
        "FAILED: the expression takes too long"
    );
}

#[tokio::test]
async fn wrong_arguments_are_told_with_their_place() {
    let server = Setup::new().set("tools.argument_bytes", 300).start().await;
    let client = server.client();
    for (arguments, told) in [
        (json!({}), "\"expression\" is a required property"),
        (
            json!({ "expression": 5 }),
            "/expression: the value is not of type \"string\"",
        ),
        (
            json!({ "expression": "1", "more": 2 }),
            "'more' was unexpected",
        ),
        (json!([]), "the arguments must be an object"),
        (
            json!({ "expression": "1".repeat(300) }),
            "at most 300 are allowed",
        ),
    ] {
        let input = json!({ "input": { "name": "calculator", "arguments": arguments } });
        let error = client.error(CALL, &input).await;
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
        assert_eq!(error["extensions"]["field"], "input.arguments");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
    }
    let input = json!({ "input": { "name": "frobnicate" } });
    let error = client.error(CALL, &input).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND");
    assert_eq!(error["extensions"]["field"], "input.name");
}

#[tokio::test]
async fn what_is_long_is_cut_and_marked() {
    let server = Setup::new().set("tools.output_bytes", 100).start().await;
    let called = call(
        &server.client(),
        "calculator",
        json!({ "expression": "7^300" }),
    )
    .await;
    assert_eq!(called["output"]["truncated"], true);
    let text = called["output"]["text"].as_str().unwrap();
    assert!(text.len() <= 100 && text.ends_with("]"), "{text}");
}

#[tokio::test]
async fn calling_needs_the_scope() {
    let server = Setup::new()
        .key("may", "acme", "ann")
        .file("scopes = [\"tools:call\"]\n")
        .key("may-not", "acme", "bob")
        .start()
        .await;
    let arguments = json!({ "expression": "6 * 7" });
    let ann = server.client_with("may");
    assert_eq!(output(&ann, "calculator", arguments.clone()).await, "42");
    let bob = server.client_with("may-not");
    let input = json!({ "input": { "name": "calculator", "arguments": arguments } });
    let error = bob.error(CALL, &input).await;
    assert_eq!(error["extensions"]["code"], "FORBIDDEN");
    assert!(error["message"].as_str().unwrap().contains("tools:call"));
    // Which tools there are is no secret.
    let data = bob.data("{ tools { name } }", &json!({})).await;
    assert_eq!(data["tools"][0]["name"], "calculator");
}

#[tokio::test]
async fn memories_belong_to_their_owner() {
    let scope = "scopes = [\"tools:call\"]\n";
    let server = Setup::new()
        .set("tools.memories", 2)
        .key("ann", "acme", "ann")
        .file(scope)
        .key("bob", "acme", "bob")
        .file(scope)
        .start()
        .await;
    let (ann, bob) = (server.client_with("ann"), server.client_with("bob"));
    for text in ["Has a dog.", "Has two cats.", " Lives in Bern. "] {
        let saved = output(&ann, "memory_save", json!({ "text": text })).await;
        assert_eq!(saved, "remembered");
    }
    let found = output(&ann, "memory_search", json!({ "query": "cat or dog?" })).await;
    assert!(
        found.starts_with("- Has two cats. (20") && found.lines().count() == 1,
        "{found}"
    );
    let latest = output(&ann, "memory_search", json!({})).await;
    assert!(latest.starts_with("- Lives in Bern. (20"), "{latest}");
    assert_eq!(latest.lines().count(), 2);
    let nothing = output(&bob, "memory_search", json!({ "query": "cats" })).await;
    assert_eq!(nothing, "nothing is remembered about this");
    let told = failure(&bob, "memory_save", json!({ "text": " \u{0} " })).await;
    assert!(told.starts_with("FAILED: "), "{told}");
}

#[tokio::test]
async fn bad_settings_are_named() {
    for (toml, told) in [
        (
            "[tools]\nbuiltin = [\"telepathy\"]\n",
            "tools.builtin: there is no built-in tool",
        ),
        (
            "[tools]\nbuiltin = [\"calculator\", \"calculator\"]\n",
            "tools.builtin: the tool name \"calculator\" is taken",
        ),
        ("[tools]\ncalls = 0\n", "tools.calls"),
        ("[tools]\nmemories = 0\n", "tools.memories"),
        (
            "[tools.approval]\ncalculator = \"sometimes\"\n",
            "tools.approval: of calculator",
        ),
        (
            "[tools.approval]\ntelepathy = \"never\"\n",
            "tools.approval: there is no tool",
        ),
        (
            "[[auth.keys]]\nname = \"a\"\ntenant = \"a\"\nowner = \"a\"\nsha256 = \"\"\nscopes = [\"all\"]\n",
            "scopes",
        ),
    ] {
        let stderr = refused(toml).await;
        assert!(stderr.contains(told), "{toml}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
