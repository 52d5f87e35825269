//! Progress of MCP calls: it puts their end off, and is followed.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call as calls, called};
use crate::mcp_names::{agent_with, scripted};
use crate::resume::check_log;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{ended_run, events, send};
use crate::support::upstream::Script;
use crate::tools::{failure, output};

const EVENTS: &str = "subscription($run: ID!, $after: Int) {
    runEvents(runId: $run, after: $after) { __typename sequence
      ... on ToolCallStarted { toolCallId }
      ... on ToolCallProgress { toolCallId progress total message firstSequence }
      ... on ToolCallCompleted { toolCallId result { text isError } }
      ... on ChildRunEvent { event { __typename
        ... on ToolCallProgress { progress total message } } } } }";

async fn log_of(client: &Client, run: &str, after: u64) -> Vec<Value> {
    let variables = json!({ "run": run, "after": after });
    events(client.events(EVENTS, &variables).await.rest().await)
}

fn worker(more: &str) -> String {
    scripted(
        "srv",
        &json!([{ "name": "work" }, { "name": "chatter" }]),
        "",
    ) + more
}

/// Reports put the end of a call off, up to a limit of their own; log messages do not.
#[tokio::test]
async fn progress_puts_the_end_off() {
    let toml = worker("timeout_ms = 1_000\n");
    let server = Setup::new().file(&toml).start().await;
    let client = server.client();
    let work = json!({ "steps": 8, "every": 250 });
    assert_eq!(output(&client, "srv__work", work).await, "worked");
    let told = failure(&client, "srv__chatter", json!({ "every": 100 })).await;
    assert_eq!(told, "TIMED_OUT: the call took longer than 1 s");

    let toml = worker("timeout_ms = 1_000\nprogress_timeout_ms = 1_500\n");
    let server = Setup::new().file(&toml).start().await;
    let client = server.client();
    let work = json!({ "steps": 1_000, "every": 100 });
    let told = failure(&client, "srv__work", work).await;
    assert_eq!(told, "TIMED_OUT: the call took longer than 1.5 s");
}

async fn server(setup: Setup, folder: &TempDir, toml: &str) -> TestServer {
    setup
        .file(toml)
        .set("agents.folder", folder.path().display())
        .set("agents.default", "handy")
        .start()
        .await
}

/// Progress is an event of the run, the same for each who follows, from any place.
pub(crate) async fn progress_is_followed(db: Arc<Database>) {
    let folder = agent_with(&["srv__work"]);
    let toml = "[tools]\nprogress_events_per_second = 1_000\n".to_owned() + &worker("");
    let server = server(Setup::new().on(&db), &folder, &toml).await;
    let client = server.client();
    let arguments = r#"{"steps": 5, "every": 60}"#;
    let script = calls(Script::stream(), 0, "srv__work", arguments);
    server.upstream.then(called(script));
    server.upstream.then(Script::tokens(["Done."]));
    let (_, run) = send(&client, None, "Work").await;
    let log = log_of(&client, &run, 0).await;
    check_log(&log);
    let of_kind = |kind: &str| log.iter().position(|event| event["__typename"] == kind);
    let progress: Vec<_> = log
        .iter()
        .filter(|event| event["__typename"] == "ToolCallProgress")
        .collect();
    assert!(progress.len() >= 2, "{log:?}");
    let started = &log[of_kind("ToolCallStarted").unwrap()];
    for (at, report) in progress.iter().enumerate() {
        assert_eq!(report["toolCallId"], started["toolCallId"]);
        assert_eq!(report["total"], 5.0);
        assert_eq!(report["firstSequence"], report["sequence"]);
        let done = report["progress"].as_f64().unwrap();
        assert_eq!(report["message"], format!("step {done}"));
        assert!(at == 0 || progress[at - 1]["progress"].as_f64().unwrap() < done);
    }
    let (last, completed) = (progress.last().unwrap(), of_kind("ToolCallCompleted"));
    assert_eq!(last["progress"], 5.0, "{log:?}");
    assert!(last["sequence"].as_u64().unwrap() <= completed.unwrap() as u64);
    for after in 0..log.len() {
        assert_eq!(log_of(&client, &run, after as u64).await, log[after..]);
    }
}

/// A tool that reports without end makes few events, the last report among them; a long message
/// is cut.
#[tokio::test]
async fn progress_is_bounded() {
    let folder = agent_with(&["srv__work"]);
    let toml = "[tools]\nprogress_message_bytes = 6\nmcp_messages_per_second = 100_000\n"
        .to_owned()
        + &worker("");
    let server = server(Setup::new(), &folder, &toml).await;
    let client = server.client();
    let script = calls(
        Script::stream(),
        0,
        "srv__work",
        r#"{"steps": 3000, "every": 0}"#,
    );
    server.upstream.then(called(script));
    server.upstream.then(Script::tokens(["Done."]));
    let (_, run) = send(&client, None, "Work").await;
    let log = log_of(&client, &run, 0).await;
    let progress = log
        .iter()
        .filter(|event| event["__typename"] == "ToolCallProgress");
    let progress: Vec<_> = progress.collect();
    assert!((1..100).contains(&progress.len()), "{}", progress.len());
    let last = progress.last().unwrap();
    assert_eq!(
        (&last["progress"], &last["message"]),
        (&json!(3000.0), &json!("step 3…"))
    );
}

/// A child's progress is in its parent's log.
#[tokio::test]
async fn progress_of_a_child_is_followed() {
    let folder = agent_with(&["srv__work"]);
    let desk = "name = \"desk\"\ndescription = \"Asks.\"\ninstructions = \"Ask.\"\n\
                agents_as_tools = [\"handy\"]\n";
    std::fs::write(folder.path().join("desk.toml"), desk).unwrap();
    let server = Setup::new()
        .file(&worker(""))
        .set("agents.folder", folder.path().display())
        .set("agents.default", "desk")
        .start()
        .await;
    let client = server.client();
    let asks = calls(Script::stream(), 0, "ask_handy", r#"{"message": "Work"}"#);
    server.upstream.then(called(asks));
    let works = calls(
        Script::stream(),
        0,
        "srv__work",
        r#"{"steps": 2, "every": 20}"#,
    );
    server.upstream.then(called(works));
    server.upstream.then(Script::tokens(["Worked."]));
    server.upstream.then(Script::tokens(["Done."]));
    let (_, run) = send(&client, None, "Have it done").await;
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    let log = log_of(&client, &run, 0).await;
    check_log(&log);
    let inner: Vec<_> = log.iter().map(|event| &event["event"]).collect();
    let done = inner
        .iter()
        .rfind(|event| event["__typename"] == "ToolCallProgress");
    let done = done.unwrap_or_else(|| panic!("{log:?}"));
    assert_eq!(
        (&done["progress"], &done["message"]),
        (&json!(2.0), &json!("step 2"))
    );
}
