//! MCP servers that people use, as tools of an agent.

use serde_json::{Value, json};

use crate::part::{node, python};
use crate::support::client::Client;
use crate::support::server::{Setup, TestServer};
use crate::support::strict;
use crate::support::wait::eventually;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    run { status error { code message } }
    message { text parts { __typename ... on ToolResultPart { text isError } } } } }";

/// The settings of a server that is started with a program.
fn stdio(name: &str, command: &str, arguments: &[&str]) -> String {
    format!("[[tools.mcp]]\nname = \"{name}\"\ncommand = {command:?}\nargs = {arguments:?}\n")
}

/// A server with a strict provider, and an agent that has all tools of an MCP server.
struct House {
    server: TestServer,
    tools: Vec<String>,
}

async fn house(name: &str, settings: &str) -> House {
    let upstream = strict::start().await;
    let base_url = upstream.base_url();
    let server = Setup::new()
        .file(settings)
        .set("models.default", "mine/claude-haiku-5-5")
        .set("models.providers.mine.kind", "anthropic")
        .set("models.providers.mine.base_url", base_url)
        .set("models.providers.mine.api_key", "test-key")
        .start_with(upstream, "http://127.0.0.1:9/v1")
        .await;
    let client = server.client();
    let tools = tools(&client, name).await;
    let document = "mutation($input: CreateAgentInput!) { createAgent(input: $input) {
        agent { name } } }";
    let agent = json!({ "input": { "name": "worker", "description": "Works.",
        "instructions": "Work.", "tools": tools } });
    client.data(document, &agent).await;
    House { server, tools }
}

/// Waits until the tools of a server are there.
async fn tools(client: &Client, name: &str) -> Vec<String> {
    let prefix = format!("{name}__");
    eventually("the tools", async || {
        let data = client.data("{ tools { name } }", &json!({})).await;
        let tools = data["tools"].as_array().unwrap().iter();
        let tools = tools.filter_map(|tool| Some(tool["name"].as_str()?.to_owned()));
        let tools: Vec<_> = tools.filter(|tool| tool.starts_with(&prefix)).collect();
        (!tools.is_empty()).then_some(tools)
    })
    .await
}

/// The model calls tools; the texts of what they gave.
async fn work(house: &House, calls: &[(&str, Value)]) -> Vec<Value> {
    let calls = calls
        .iter()
        .map(|(name, arguments)| format!("call {name} {arguments}"));
    let text = calls.collect::<Vec<_>>().join("\n");
    let input = json!({ "input": { "agent": "worker", "message": { "text": text } } });
    let data = house.server.client().data(CHAT, &input).await;
    let broken = strict::broken(&house.server.upstream);
    assert!(broken.is_empty(), "{broken:#?}");
    let chat = &data["chat"];
    assert_eq!(chat["run"]["status"], "COMPLETED", "{chat}");
    let parts = chat["message"]["parts"].as_array().unwrap().iter();
    let results = parts.filter(|part| part["__typename"] == "ToolResultPart");
    results.cloned().collect()
}

/// The result that has a text; results come as they are done.
fn one(results: &[Value], text: &str) -> Value {
    let has = |result: &&Value| {
        result["text"]
            .as_str()
            .is_some_and(|one| one.contains(text))
    };
    results.iter().find(has).cloned().unwrap_or_default()
}

fn has(result: &Value, text: &str) {
    assert_eq!(result["isError"], false, "{result}");
    assert!(
        result["text"].as_str().unwrap().contains(text),
        "{text}: {result}"
    );
}

#[tokio::test]
async fn filesystem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let file = path.join("note.txt").display().to_string();
    let script = node("@modelcontextprotocol/server-filesystem/dist/index.js");
    let settings = stdio("files", "node", &[&script, &path.display().to_string()]);
    let house = house("files", &settings).await;
    assert!(house.tools.len() >= 10);
    let results = work(
        &house,
        &[(
            "files__write_file",
            json!({ "path": file, "content": "Remember the milk." }),
        )],
    )
    .await;
    has(&results[0], "note.txt");
    let results = work(
        &house,
        &[
            ("files__read_text_file", json!({ "path": file })),
            ("files__list_directory", json!({ "path": path })),
        ],
    )
    .await;
    has(&one(&results, "milk"), "Remember the milk.");
    has(&one(&results, "[FILE]"), "note.txt");
    let outside = work(
        &house,
        &[("files__read_text_file", json!({ "path": "/etc/passwd" }))],
    )
    .await;
    assert_eq!(outside[0]["isError"], true, "{outside:?}");
}

#[tokio::test]
async fn memory() {
    let folder = tempfile::tempdir().unwrap();
    let script = node("@modelcontextprotocol/server-memory/dist/index.js");
    let file = folder.path().join("memory.jsonl");
    let settings = stdio("graph", "node", &[&script])
        + &format!(
            "env = {{ MEMORY_FILE_PATH = {:?} }}\n",
            file.display().to_string()
        );
    let house = house("graph", &settings).await;
    assert!(house.tools.len() >= 8);
    let ann = json!({ "entities": [{ "name": "Ann", "entityType": "person",
        "observations": ["likes tea"] }] });
    work(&house, &[("graph__create_entities", ann)]).await;
    let found = work(
        &house,
        &[("graph__search_nodes", json!({ "query": "tea" }))],
    )
    .await;
    has(&found[0], "Ann");
}

#[tokio::test]
async fn sequential_thinking() {
    let script = node("@modelcontextprotocol/server-sequential-thinking/dist/index.js");
    let house = house("steps", &stdio("steps", "node", &[&script])).await;
    let names = house.tools.clone();
    let thought = json!({ "thought": "First", "nextThoughtNeeded": true, "thoughtNumber": 1,
        "totalThoughts": 2 });
    let results = work(&house, &[(&names[0], thought)]).await;
    has(&results[0], "\"thoughtNumber\"");
}

#[tokio::test]
async fn time() {
    let settings = stdio(
        "clock",
        &python("mcp-server-time"),
        &["--local-timezone", "UTC"],
    );
    let house = house("clock", &settings).await;
    assert_eq!(house.tools.len(), 2);
    let convert = json!({ "source_timezone": "Europe/Zurich", "time": "12:00",
        "target_timezone": "Asia/Tokyo" });
    let results = work(
        &house,
        &[
            (
                "clock__get_current_time",
                json!({ "timezone": "Europe/Zurich" }),
            ),
            ("clock__convert_time", convert),
        ],
    )
    .await;
    has(&one(&results, "Tokyo"), "Asia/Tokyo");
    assert_eq!(results.len(), 2, "{results:?}");
}

#[tokio::test]
async fn git() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().display().to_string();
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["config", "user.name", "Ann"],
        &["config", "user.email", "ann@example.com"],
    ] {
        let mut command = std::process::Command::new("git");
        assert!(
            command
                .args(["-C", &path])
                .args(arguments)
                .status()
                .unwrap()
                .success()
        );
    }
    std::fs::write(folder.path().join("note.txt"), "Hello\n").unwrap();
    let settings = stdio("git", &python("mcp-server-git"), &["--repository", &path]);
    let house = house("git", &settings).await;
    assert!(house.tools.len() >= 8);
    let status = work(&house, &[("git__git_status", json!({ "repo_path": path }))]).await;
    has(&status[0], "note.txt");
    work(
        &house,
        &[(
            "git__git_add",
            json!({ "repo_path": path, "files": ["note.txt"] }),
        )],
    )
    .await;
    let commit = json!({ "repo_path": path, "message": "Add a note" });
    work(&house, &[("git__git_commit", commit)]).await;
    let log = work(&house, &[("git__git_log", json!({ "repo_path": path }))]).await;
    has(&log[0], "Add a note");
}

#[tokio::test]
async fn fetch() {
    use crate::support::upstream::{Script, Upstream};
    let pages = Upstream::answering(|_| {
        Script::status(200)
            .header("content-type", "text/html")
            .bytes("<html><body><h1>Cheese</h1><p>Emmental has holes.</p></body></html>")
    })
    .await;
    let url = pages.base_url();
    let settings = stdio("web", &python("mcp-server-fetch"), &["--ignore-robots-txt"]);
    let house = house("web", &settings).await;
    let names = house.tools.clone();
    assert_eq!(names, ["web__fetch"]);
    let results = work(&house, &[("web__fetch", json!({ "url": url }))]).await;
    // It reads public pages alone, or this one: both are an answer of its own.
    let text = results[0]["text"].as_str().unwrap();
    assert!(
        text.contains("Emmental") || results[0]["isError"] == true,
        "{results:?}"
    );
}

#[tokio::test]
async fn playwright() {
    let browser = ["chromium", "chromium-browser", "google-chrome"].into_iter();
    let mut browser = browser.filter_map(find);
    let browser = std::env::var("CHROMIUM").ok().or_else(|| browser.next());
    let browser = browser.expect("Chromium, which scripts/test installs");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().display().to_string();
    let script = node("@playwright/mcp/cli.js");
    let arguments = [
        script.as_str(),
        "--headless",
        "--isolated",
        "--no-sandbox",
        "--output-dir",
        &output,
        "--executable-path",
        &browser,
    ];
    let house = house("browser", &stdio("browser", "node", &arguments)).await;
    assert!(house.tools.len() >= 10);
    let page = "data:text/html,<title>Cheese</title><h1>Emmental</h1>";
    let open = ("browser__browser_navigate", json!({ "url": page }));
    let results = work(&house, &[open]).await;
    has(&results[0], "Cheese");
    let results = work(&house, &[("browser__browser_snapshot", json!({}))]).await;
    has(&results[0], "Emmental");
}

/// The path of a program.
fn find(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    Some(places.find(|place| place.is_file())?.display().to_string())
}
