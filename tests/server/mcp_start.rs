//! The start of a server does not wait for its MCP servers.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call as calls, called};
use crate::mcp_names::{agent_with, scripted};
use crate::support::client::{Client, body};
use crate::support::process::{Process, program};
use crate::support::talk::chat;
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::eventually;
use crate::tools::output;

async fn health(client: &Client, path: &str) -> (u16, Value) {
    body(client.request(Method::GET, path)).await
}

async fn serve(agents: &TempDir, upstream: &Upstream, toml: &str) -> (TempDir, Process) {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("talkgraph.toml"), toml).unwrap();
    let (url, path) = (upstream.base_url(), agents.path().display().to_string());
    let settings = [
        ("telemetry.log", "info"),
        ("telemetry.format", "json"),
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
        ("models.openai.base_url", url.as_str()),
        ("models.openai.api_key", "sk-x"),
    ];
    let mut server = Process::spawn(program(folder.path(), &["serve"], &settings));
    server.ready().await;
    (folder, server)
}

/// With an MCP server that never answers the server is there at once; it is ready once it has
/// waited long enough, with a list of what is missing.
#[tokio::test]
async fn missing_server_is_listed() {
    let agents = agent_with(&["mute__x"]);
    let upstream = Upstream::start().await;
    let wait = "[tools]\nmcp_start_timeout_ms = 600_000\nmcp_wait_ms = 500\n";
    let toml = wait.to_owned() + &scripted("mute", &json!([{ "name": "x" }]), "mute");
    let (_folder, server) = serve(&agents, &upstream, &toml).await;
    let client = server.client();
    assert_eq!(health(&client, "/health/live").await.0, 200);
    let said = eventually("readiness", async || {
        let (status, said) = health(&client, "/health/ready").await;
        (status == 200).then_some(said)
    })
    .await;
    assert_eq!(
        said["parts"]["tools"],
        json!({ "ok": true, "starting": ["mute"], "missing": [] })
    );
    // A run goes on without the tool.
    upstream.then(Script::tokens(["Without."]));
    let chat = chat(&client, None, "Go").await;
    assert_eq!(chat["run"]["status"], "COMPLETED", "{chat}");
    assert_eq!(upstream.received()[0].body.get("tools"), None);
}

/// A server that is required keeps the server from being ready; another does not.
#[tokio::test]
async fn required_server_must_be_there() {
    let agents = agent_with(&["away__x"]);
    let upstream = Upstream::start().await;
    let away = "[[tools.mcp]]\nname = \"away\"\ncommand = \"/no/such/program\"\n";
    for (more, status) in [("", 200), ("required = true\n", 503)] {
        let (_folder, server) = serve(&agents, &upstream, &(away.to_owned() + more)).await;
        let client = server.client();
        let tools = eventually("the server is missing", async || {
            let (found, said) = health(&client, "/health/ready").await;
            let tools = said["parts"]["tools"].clone();
            (found == status && tools["missing"] == json!(["away"])).then_some(tools)
        })
        .await;
        assert_eq!(tools["ok"], status == 200);
        assert_eq!(health(&client, "/health/live").await.0, 200);
    }
}

/// A run that begins while its tool's server starts has the tool, and so has a call.
#[tokio::test]
async fn starting_server_is_waited_for() {
    let agents = agent_with(&["slow__x"]);
    let upstream = Upstream::start().await;
    let toml = scripted("slow", &json!([{ "name": "x" }]), "late");
    upstream.then(called(calls(Script::stream(), 0, "slow__x", "{}")));
    upstream.then(Script::tokens(["Done."]));
    let (_folder, server) = serve(&agents, &upstream, &toml).await;
    let client = server.client();
    let chat = chat(&client, None, "Go").await;
    assert_eq!(chat["run"]["status"], "COMPLETED", "{chat}");
    let told = upstream.received()[1].body["messages"].to_string();
    assert!(told.contains("called x"), "{told}");

    let (_folder, server) = serve(&agents, &upstream, &toml).await;
    assert_eq!(
        output(&server.client(), "slow__x", json!({})).await,
        "called x"
    );
    let document = "mutation($input: CallToolInput!) { callTool(input: $input) { tool { name } } }";
    let unknown = json!({ "input": { "name": "slow__y" } });
    let error = server.client().error(document, &unknown).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND", "{error}");
}
