//! MCP tools that their servers execute only as tasks.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call as calls, called};
use crate::input_requests::{answer, question};
use crate::interrupts::told;
use crate::mcp::{EVERYTHING, HttpServer, free_port, script, stdio};
use crate::mcp_names::agent_with;
use crate::support::client::Client;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{cancel, ended_run, kinds, run_events, send};
use crate::support::upstream::Script;
use crate::support::wait::eventually;
use crate::tools::{failure, output};

const RESEARCH: &str = "everything__simulate-research-query";

/// An agent with the tool, of the protocol's own example server.
async fn researching() -> (TempDir, TestServer) {
    let folder = agent_with(&[RESEARCH]);
    // Less than the work takes: each change of its state puts the end off.
    let settings = stdio("everything", EVERYTHING) + "timeout_ms = 3_000\n";
    let server = Setup::new().file(&settings);
    let server = server.set("agents.folder", folder.path().display());
    let server = server.set("agents.default", "handy").start().await;
    (folder, server)
}

#[tokio::test]
async fn the_example_servers_task_is_executed() {
    let (_folder, server) = researching().await;
    let client = server.client();
    let arguments = r#"{"topic": "bees"}"#;
    let script = calls(Script::stream(), 0, RESEARCH, arguments);
    server.upstream.then(called(script));
    let (_, run) = send(&client, None, "Research bees").await;
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    let result = told(&server.upstream, 1).remove(0);
    assert!(result.contains("# Research Report: bees"), "{result}");
    let log = kinds(&run_events(&client, &run, 0).await);
    assert!(log.iter().any(|kind| kind == "ToolCallProgress"), "{log:?}");
}

#[tokio::test]
async fn the_example_servers_task_asks_the_person() {
    let (_folder, server) = researching().await;
    let client = server.client();
    let arguments = r#"{"topic": "python", "ambiguous": true}"#;
    let script = calls(Script::stream(), 0, RESEARCH, arguments);
    server.upstream.then(called(script));
    let (_, run) = send(&client, None, "Research python").await;
    let asked = question(&client, &run).await;
    let content = json!({ "interpretation": "snake" });
    answer(&client, &run, &asked, "ACCEPT", content).await;
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    let result = told(&server.upstream, 1).remove(0);
    assert!(result.contains("Report: python (snake)"), "{result}");
}

#[tokio::test]
async fn a_task_is_executed_over_http() {
    let port = free_port().await;
    let _everything = HttpServer::start(port).await;
    let toml = format!("[[tools.mcp]]\nname = \"remote\"\nurl = \"http://127.0.0.1:{port}/mcp\"\n");
    let server = Setup::new().file(&toml).start().await;
    let arguments = json!({ "topic": "bees" });
    let name = "remote__simulate-research-query";
    let result = output(&server.client(), name, arguments).await;
    assert!(result.contains("# Research Report: bees"), "{result}");
}

fn jobs(more: &str) -> String {
    stdio("jobs", "tests/mcp/tasks.mjs") + more
}

async fn log(client: &Client) -> Vec<Value> {
    let text = output(client, "jobs__log", json!({})).await;
    serde_json::from_str(&text).unwrap()
}

/// The tool is called plainly once, and its tasks end as they end.
#[tokio::test]
async fn tasks_end() {
    let _ = script(EVERYTHING);
    let server = Setup::new().file(&jobs("")).start().await;
    let client = server.client();
    let done = output(&client, "jobs__job", json!({ "ends": "completed" })).await;
    assert_eq!(done, "task-0 is done");
    let told = failure(&client, "jobs__job", json!({ "ends": "failed" })).await;
    assert_eq!(told, "FAILED: step 2 (the disk is full)");
    let told = failure(&client, "jobs__job", json!({ "ends": "cancelled" })).await;
    let cancelled = "FAILED: the MCP server has cancelled its task: step 2";
    assert_eq!(told, cancelled);
    let told = failure(&client, "jobs__job", json!({ "ends": "strangely" })).await;
    assert!(told.contains("cannot be read"), "{told}");
    let last = json!("cancel task-3");
    let log = eventually("a cancelled task", async || {
        let log = log(&client).await;
        log.contains(&last).then_some(log)
    });
    let log = log.await;
    let plain = log.iter().filter(|line| **line == "job plain");
    assert_eq!(plain.count(), 1, "{log:?}");
    let cancelled = log
        .iter()
        .filter(|line| line.to_string().contains("cancel"));
    assert_eq!(cancelled.count(), 1, "{log:?}");
}

/// A task without an end is cancelled at the server when its time is over, and with its run.
#[tokio::test]
async fn tasks_are_given_up() {
    let folder = agent_with(&["jobs__job"]);
    let limits = "timeout_ms = 1_000\nprogress_timeout_ms = 1_500\n";
    let server = Setup::new().file(&jobs(limits)).start().await;
    let client = server.client();
    let told = failure(&client, "jobs__job", json!({})).await;
    assert_eq!(told, "TIMED_OUT: the call took longer than 1.5 s");
    let given_up = json!(["job plain", "job ttl 1500", "get task-0", "cancel task-0"]);
    eventually("a cancelled task", async || {
        (json!(log(&client).await) == given_up).then_some(())
    })
    .await;

    let server = Setup::new().file(&jobs(""));
    let server = server.set("agents.folder", folder.path().display());
    let server = server.set("agents.default", "handy").start().await;
    let client = server.client();
    let script = calls(Script::stream(), 0, "jobs__job", "{}");
    server.upstream.then(called(script));
    let (_, run) = send(&client, None, "Work").await;
    let asked = json!("get task-0");
    eventually("a task", async || {
        log(&client).await.contains(&asked).then_some(())
    })
    .await;
    cancel(&client, &run).await;
    eventually("a cancelled task", async || {
        let log = log(&client).await;
        log.contains(&json!("cancel task-0")).then_some(())
    })
    .await;
}
