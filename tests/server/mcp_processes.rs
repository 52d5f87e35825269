//! Programs of MCP servers: each ends with all that it has started.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::mcp::script;
use crate::support::process::{Process, program};
use crate::support::wait::eventually;
use crate::tools::output;

/// The settings of a server below a shell, as `npx` would start it, and its tool `pid`.
fn below_a_shell(does: &str) -> String {
    let script = script("tests/mcp/scripted.mjs");
    let tools = json!([{ "name": "pid" }]).to_string();
    let command = format!("node {script} '{tools}' {does}; true");
    format!(
        "[[tools.mcp]]\nname = \"srv\"\ncommand = \"sh\"\nargs = [\"-c\", {}]\n",
        json!(command)
    )
}

async fn serve(folder: &TempDir, toml: &str) -> Process {
    std::fs::write(folder.path().join("talkgraph.toml"), toml).unwrap();
    let settings = [("telemetry.log", "info"), ("telemetry.format", "json")];
    Process::serve(program(folder.path(), &["serve"], &settings)).await
}

fn signal(signal: &str, pid: &str) {
    let sent = Command::new("kill").args([signal, pid]).status().unwrap();
    assert!(sent.success());
}

async fn gone(pid: &str) {
    let path = PathBuf::from(format!("/proc/{pid}/cmdline"));
    // A zombie, which only the first process can remove, has no command line.
    eventually("the program's end", async || {
        let left = std::fs::read(&path).unwrap_or_default();
        left.is_empty().then_some(())
    })
    .await;
}

/// A server that stops leaves no program behind: not below a shell, not one that outlives its
/// input, nor one that SIGTERM does not end.
#[tokio::test]
async fn programs_end_with_the_server() {
    for does in ["", "deaf", "stubborn"] {
        let folder = TempDir::new().unwrap();
        let mut server = serve(&folder, &below_a_shell(does)).await;
        let pid = output(&server.client(), "srv__pid", json!({})).await;
        assert!(Path::new(&format!("/proc/{pid}")).exists());
        server.terminate();
        assert_eq!(server.exit_code().await, Some(0), "{does}");
        let left = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(left.is_empty(), "{does}: {left:?}");
    }
}

/// Nor does one that is killed.
#[tokio::test]
async fn programs_end_when_the_server_is_killed() {
    let folder = TempDir::new().unwrap();
    let server = serve(&folder, &below_a_shell("stubborn")).await;
    let pid = output(&server.client(), "srv__pid", json!({})).await;
    drop(server);
    gone(&pid).await;
}

/// A program that is replaced because its shell is gone, or that does not start, leaves nothing.
#[tokio::test]
async fn programs_end_when_they_are_started_again() {
    let folder = TempDir::new().unwrap();
    let server = serve(&folder, &below_a_shell("deaf")).await;
    let client = server.client();
    let pid = output(&client, "srv__pid", json!({})).await;
    signal("-KILL", &pid);
    let again = eventually("another process", async || {
        let called = crate::tools::call(&client, "srv__pid", json!({})).await;
        let again = called["output"]["text"].as_str()?.to_owned();
        (again != pid).then_some(again)
    })
    .await;
    assert!(Path::new(&format!("/proc/{again}")).exists());
    drop(server);
    gone(&again).await;

    let file = folder.path().join("pid");
    let start = "[tools]\nmcp_start_timeout_ms = 2_000\nmcp_restart_delay_ms = 600_000\n";
    let env = format!("env = {{ PID_FILE = {} }}\n", json!(file));
    let server = serve(&folder, &(start.to_owned() + &below_a_shell("mute") + &env)).await;
    let pid = std::fs::read_to_string(&file).unwrap();
    gone(&pid).await;
    drop(server);
}
