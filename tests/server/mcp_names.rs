//! Names of MCP servers' tools, and tools that cannot be offered.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call as calls, called};
use crate::mcp::script;
use crate::support::client::Client;
use crate::support::process::{program, run};
use crate::support::server::Setup;
use crate::support::talk::chat;
use crate::support::upstream::Script;
use crate::tools::output;

/// The settings of a scripted server of that name that has these tools.
pub(crate) fn scripted(name: &str, tools: &Value, does: &str) -> String {
    let arguments = json!([script("tests/mcp/scripted.mjs"), tools.to_string(), does]);
    format!("[[tools.mcp]]\nname = \"{name}\"\ncommand = \"node\"\nargs = {arguments}\n")
}

/// A folder with one agent, `handy`, that has these tools.
pub(crate) fn agent_with(tools: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let toml = format!(
        "name = \"handy\"\ndescription = \"Has tools.\"\ninstructions = \"Use them.\"\n\
         tools = {}\n",
        json!(tools)
    );
    std::fs::write(folder.path().join("handy.toml"), toml).unwrap();
    folder
}

async fn tools(client: &Client) -> Vec<(String, Value)> {
    let document = "{ tools { name description approval } }";
    let data = client.data(document, &json!({})).await;
    let all = data["tools"].as_array().unwrap().iter();
    let named = all.map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool.clone()));
    named.filter(|(name, _)| name.contains("__")).collect()
}

/// Each tool has a name that models may call, and is called by its own.
#[tokio::test]
async fn any_name_is_offered() {
    let long = "x".repeat(128);
    let originals = [
        "file.read",
        "file read",
        "a/b",
        "plain",
        "日本",
        long.as_str(),
    ];
    let listed: Vec<_> = originals
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let approval = "[tools.approval]\nsrv__file_read = \"always\"\n\"srv__a/b\" = \"always\"\n";
    let toml = approval.to_owned() + &scripted("srv", &json!(listed), "");
    let server = Setup::new().file(&toml).start().await;
    let client = server.client();
    let offered = tools(&client).await;
    assert_eq!(offered.len(), originals.len(), "{offered:?}");
    let mut called = Vec::new();
    for (name, tool) in &offered {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        assert!(name.len() <= 64 && name.bytes().all(allowed), "{name}");
        let own = output(&client, name, json!({})).await;
        let own = own.strip_prefix("called ").unwrap().to_owned();
        let described = tool["description"].as_str().unwrap();
        assert_eq!(described.contains(&own), own != "plain", "{tool}");
        // The two that share a name without their digests share its approval.
        let asks = own.starts_with("file") || own == "a/b";
        assert_eq!(tool["approval"] == "ALWAYS", asks, "{tool}");
        called.push(own);
    }
    called.sort();
    let mut all = originals.to_vec();
    all.sort_unstable();
    assert_eq!(called, all);
    // Listed in another order, they have the same names.
    let reversed: Vec<_> = listed.into_iter().rev().collect();
    let toml = scripted("srv", &json!(reversed), "");
    let other = Setup::new().file(&toml).start().await;
    let names = |tools: Vec<(String, Value)>| tools.into_iter().map(|(name, _)| name);
    let again: Vec<_> = names(tools(&other.client()).await).collect();
    assert_eq!(again, names(offered).collect::<Vec<_>>());
}

/// Agents, requests to the model, events and history have the name that models know.
#[tokio::test]
async fn runs_use_the_name_of_models() {
    let folder = agent_with(&["srv__calendar_read", "9lives__x"]);
    let toml = scripted("srv", &json!([{ "name": "calendar.read" }]), "")
        + &scripted("9lives", &json!([{ "name": "x" }]), "");
    let server = Setup::new()
        .file(&toml)
        .set("agents.folder", folder.path().display())
        .set("agents.default", "handy")
        .start()
        .await;
    let client = server.client();
    let script = calls(Script::stream(), 0, "srv__calendar_read", "{}");
    let script = calls(script, 1, "_9lives__x", "{}");
    server.upstream.then(called(script));
    server.upstream.then(Script::tokens(["Done."]));
    let chat = chat(&client, None, "Read").await;
    assert_eq!(chat["run"]["status"], "COMPLETED", "{chat}");
    let received = server.upstream.received();
    let offered = received[0].body["tools"].as_array().unwrap();
    let offered: Vec<_> = offered
        .iter()
        .map(|tool| &tool["function"]["name"])
        .collect();
    assert_eq!(offered, ["srv__calendar_read", "_9lives__x"]);
    let told = received[1].body["messages"].to_string();
    assert!(told.contains("called calendar.read"), "{told}");
    assert!(told.contains("called x"), "{told}");
}

const UNAVAILABLE: &str = "{ unavailableTools { name reason }
    agent(name: \"handy\") { tools { name } unavailableTools { name reason } } }";

/// A tool that cannot be offered is named with the reason, in GraphQL and on the command line.
#[tokio::test]
async fn unavailable_tools_are_named() {
    let folder = agent_with(&["srv__good", "srv__huge", "srv__none", "away__x"]);
    let huge = json!({ "type": "object", "description": "x".repeat(70_000) });
    let listed = json!([
        { "name": "good" }, { "name": "huge", "inputSchema": huge }, { "name": "taken" },
    ]);
    let own = "[[tools.http]]\nname = \"srv__taken\"\ndescription = \"Mine.\"\nmethod = \"GET\"\n\
               url = \"https://example.com/\"\nparameters = { type = \"object\" }\n";
    let away = "[[tools.mcp]]\nname = \"away\"\ncommand = \"/no/such/program\"\n";
    let toml = own.to_owned() + &scripted("srv", &listed, "") + away;
    let server = Setup::new()
        .file(&toml)
        .set("agents.folder", folder.path().display())
        .set("agents.default", "handy")
        .start()
        .await;
    let data = server.client().data(UNAVAILABLE, &json!({})).await;
    let reasons = |tools: &Value| -> Vec<(String, String)> {
        let tools = tools.as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        tools
            .map(|tool| (text(&tool["name"]), text(&tool["reason"])))
            .collect()
    };
    let all = reasons(&data["unavailableTools"]);
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["away__*", "srv__huge", "srv__taken"], "{all:?}");
    assert!(all[1].1.contains("bytes"), "{all:?}");
    assert!(all[2].1.contains("has its name"), "{all:?}");
    assert_eq!(data["agent"]["tools"], json!([{ "name": "srv__good" }]));
    let lacks = reasons(&data["agent"]["unavailableTools"]);
    let names: Vec<_> = lacks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["srv__huge", "srv__none", "away__x"], "{lacks:?}");
    assert_eq!(lacks[2].1, "its MCP server is not there");

    let settings_folder = TempDir::new().unwrap();
    std::fs::write(settings_folder.path().join("talkgraph.toml"), &toml).unwrap();
    let path = folder.path().display().to_string();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
    ];
    let check = ["agents", "check"];
    let checked = run(program(settings_folder.path(), &check, &settings)).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    for line in [
        "handy: the tool srv__huge is not available: ",
        "handy: the tool srv__none is not available: its MCP server has no such tool",
        "handy: the tool away__x is not available: its MCP server is not there",
        "MCP server away is not there: /no/such/program: ",
        "tool srv__taken cannot be offered: another tool",
    ] {
        assert!(checked.stdout.contains(line), "{line}: {}", checked.stdout);
    }
    let offline = ["agents", "check", "--offline"];
    let checked = run(program(settings_folder.path(), &offline, &settings)).await;
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "handy: ok\n"));
}
