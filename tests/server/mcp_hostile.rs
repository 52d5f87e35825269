//! MCP servers that take what is not theirs, hide what they say, or say too much.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::client::Client;
use crate::support::process::{Process, program};
use crate::support::server::{Setup, repository};
use crate::support::wait::eventually;
use crate::tools::{call, failure, output};

/// The settings of a server of that name that has these tools and does what `does` says.
fn hostile(name: &str, tools: &Value, does: &str) -> String {
    let script = repository("tests/mcp/hostile.mjs");
    let arguments = json!([script, tools.to_string(), does]);
    format!("[[tools.mcp]]\nname = \"{name}\"\ncommand = \"node\"\nargs = {arguments}\n")
}

/// A server in a process of its own, with these settings.
async fn serve(folder: &TempDir, toml: &str, log: &str) -> Process {
    std::fs::write(folder.path().join("talkgraph.toml"), toml).unwrap();
    let settings = [("telemetry.log", log), ("telemetry.format", "json")];
    Process::serve(program(folder.path(), &["serve"], &settings)).await
}

async fn tools(client: &Client) -> Vec<Value> {
    let document = "{ tools { name description parameters approval } }";
    let mut data = client.data(document, &json!({})).await;
    let all = data["tools"].take();
    let of_mcp = |tool: &&Value| tool["name"].as_str().unwrap().contains("__");
    all.as_array()
        .unwrap()
        .iter()
        .filter(of_mcp)
        .cloned()
        .collect()
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

/// A server takes over no tool of another one whose name begins like its own, whichever is
/// there first and however often they list their tools.
#[tokio::test]
async fn tools_belong_to_one_server() {
    let (crm, crm_) = (
        json!([{ "name": "x" }, { "name": "_y" }]),
        json!([{ "name": "y" }]),
    );
    let both = [hostile("crm", &crm, "crm"), hostile("crm_", &crm_, "crm_")];
    let approval = "[tools.approval]\ncrm___y = \"always\"\ncrm__x = \"never\"\n".to_owned();
    for [first, second] in [both.clone(), [both[1].clone(), both[0].clone()]] {
        let server = Setup::new()
            .file(&(approval.clone() + &first + &second))
            .start()
            .await;
        let client = server.client();
        let tools = tools(&client).await;
        assert_eq!(names(&tools), ["crm___y", "crm__x", "crm__y"]);
        assert_eq!(tools[0]["approval"], "ALWAYS");
        assert_eq!(output(&client, "crm___y", json!({})).await, "crm_: y");
        assert_eq!(output(&client, "crm__x", json!({})).await, "crm: x");
        assert_eq!(output(&client, "crm__y", json!({})).await, "crm: _y");
    }
    // Nor one of the server's own, when it lists its tools again.
    let own = "[[tools.http]]\nname = \"crm__x\"\ndescription = \"Mine.\"\nmethod = \"GET\"\n\
               url = \"https://example.com/\"\nparameters = { type = \"object\" }\n";
    let tools_of_crm = json!([{ "name": "x" }, { "name": "z" }, { "name": "listings" }]);
    let quick = "[tools]\nmcp_list_interval_ms = 20\nmcp_restart_delay_ms = 100\n";
    let toml = quick.to_owned() + own + &hostile("crm", &tools_of_crm, "change");
    let server = Setup::new().file(&toml).start().await;
    let client = server.client();
    eventually("listings", async || {
        let listings = output(&client, "crm__listings", json!({})).await;
        (listings.parse::<u32>().unwrap() > 3).then_some(())
    })
    .await;
    let tools = tools(&client).await;
    assert_eq!(names(&tools), ["crm__listings", "crm__x", "crm__z"]);
    assert_eq!(tools[1]["description"], "Mine.");
}

/// A server that says again and again that its tools have changed is listed ever more seldom,
/// and the log has it once.
#[tokio::test]
async fn changes_without_end_are_listed_at_a_pace() {
    let folder = TempDir::new().unwrap();
    let toml = "[tools]\nmcp_list_interval_ms = 20\nmcp_restart_delay_ms = 200\n".to_owned()
        + &hostile("restless", &json!([{ "name": "listings" }]), "change");
    let server = serve(&folder, &toml, "info").await;
    let client = server.client();
    let listings = async || {
        let listings = output(&client, "restless__listings", json!({})).await;
        listings.parse::<u128>().unwrap()
    };
    let (began, before) = (Instant::now(), listings().await);
    let after = eventually("listings", async || {
        let now = listings().await;
        (now > before + 8).then_some(now)
    })
    .await;
    // The first few come quicker.
    let most = began.elapsed().as_millis() / 200 + 6;
    assert!(after - before <= most, "{before}, {after}, {most}");
    let log = server.log();
    assert_eq!(log.matches("MCP server connected").count(), 1, "{log}");
    assert!(log.len() < 100_000, "{} bytes of log", log.len());
}

/// Text that a person does not see is written out, or refused if that would change its meaning.
#[tokio::test]
async fn hidden_characters_are_shown() {
    let parameter = |name: &str, description: &str| json!({ "type": "object", "properties": { name: { "description": description } } });
    let listed = json!([
        { "name": "" },
        { "name": "a\u{1b}[31m" },
        { "name": "a\u{202e}b" },
        { "name": "fail", "description": "Pays\u{202e}. \u{1b}]0;x\u{7}" },
        { "name": "good", "inputSchema": parameter("a", "\u{e0041}\u{202e}x") },
        { "name": "bad", "inputSchema": parameter("a\u{202e}", "x") },
    ]);
    let folder = TempDir::new().unwrap();
    let server = serve(&folder, &hostile("odd", &listed, ""), "info").await;
    let client = server.client();
    let tools = tools(&client).await;
    assert_eq!(
        names(&tools),
        ["odd__a__31m", "odd__a_b", "odd__fail", "odd__good"]
    );
    let original = &tools[1]["description"];
    assert_eq!(original, "Its name on the server: a\\u{202e}b");
    assert_eq!(tools[2]["description"], "Pays\\u{202e}. \\u{1b}]0;x\\u{7}");
    let shown = &tools[3]["parameters"]["properties"]["a"]["description"];
    assert_eq!(shown, "\\u{e0041}\\u{202e}x");
    let told = failure(&client, "odd__fail", json!({})).await;
    assert_eq!(told, "FAILED: \\u{1b}[2J\\u{202e}no");
    let log = server.log();
    assert!(log.contains("MCP tools unusable"), "{log}");
    assert!(log.contains("\"left_out\":2"), "{log}");
    assert!(!log.contains(['\u{202e}', '\u{1b}']), "{log}");
}

/// A message without an end ends its connection, not the server's memory, and the connection is
/// opened again.
#[tokio::test]
async fn endless_line_ends_the_connection() {
    let folder = TempDir::new().unwrap();
    let toml = "[tools]\nmcp_message_bytes = 1_000_000\n".to_owned()
        + &hostile("long", &json!([{ "name": "flood" }, { "name": "pid" }]), "");
    let server = serve(&folder, &toml, "info").await;
    let client = server.client();
    let pid = output(&client, "long__pid", json!({})).await;
    let before = server.peak_memory();
    let told = failure(&client, "long__flood", json!({})).await;
    assert!(told.starts_with("UNREACHABLE: "), "{told}");
    let grown = server.peak_memory() - before;
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes more");
    eventually("another process", async || {
        let called = call(&client, "long__pid", json!({})).await;
        (called["output"]["text"].as_str()? != pid).then_some(())
    })
    .await;
    eventually("the reason in the log", async || {
        server
            .log()
            .contains("tools.mcp_message_bytes")
            .then_some(())
    })
    .await;
}

/// Listings have a bound on tools, bytes and pages; what a program says to no one in particular
/// one on lines.
#[tokio::test]
async fn listings_and_words_are_bounded() {
    let many: Vec<_> = (0..20)
        .map(|n| json!({ "name": format!("t{n:02}") }))
        .collect();
    let toml = "[tools]\nmcp_tools = 3\n".to_owned() + &hostile("many", &json!(many), "pages");
    let server = Setup::new().file(&toml).start().await;
    let of_many = tools(&server.client()).await;
    assert_eq!(names(&of_many), ["many__t00", "many__t01", "many__t02"]);

    let large = |name: &str| json!({ "name": name, "description": "x".repeat(30_000) });
    let toml = "[tools]\nmcp_message_bytes = 100_000\n".to_owned()
        + &hostile(
            "large",
            &json!([large("a"), large("b"), large("c")]),
            "pages",
        );
    let server = Setup::new().file(&toml).start().await;
    let of_large = tools(&server.client()).await;
    assert_eq!(names(&of_large), ["large__a", "large__b", "large__c"]);
    assert!(of_large[0]["description"].as_str().unwrap().len() < 5_000);

    let folder = TempDir::new().unwrap();
    let toml = "[tools]\nmcp_log_lines_per_second = 5\n".to_owned()
        + &hostile("loud", &json!([{ "name": "pid" }]), "shout");
    let server = serve(&folder, &toml, "info,talkgraph=debug").await;
    eventually("an account of the rest", async || {
        server
            .log()
            .contains("MCP server output omitted")
            .then_some(())
    })
    .await;
    let log = server.log();
    assert!(log.matches("MCP server output\"").count() < 50, "{log}");
    assert!(!log.contains("u001b"), "{log}");
}
