//! Agent files that change while the server runs.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::process::{Process, program};
use crate::support::talk::{SEND, ended_run, half_said, string};
use crate::support::upstream::Upstream;
use crate::support::wait::{eventually, soon};

fn write(folder: &Path, name: &str, instructions: &str) {
    let text =
        format!("name = {name:?}\ndescription = \"Answers.\"\ninstructions = {instructions:?}\n");
    std::fs::write(folder.join(format!("agents/{name}.toml")), text).unwrap();
}

async fn serve(folder: &TempDir, upstream: &Upstream) -> Process {
    std::fs::create_dir(folder.path().join("agents")).unwrap();
    for name in ["main", "other"] {
        write(folder.path(), name, "One.");
    }
    let base_url = upstream.base_url();
    let settings = [
        ("agents.folder", "agents"),
        ("agents.default", "main"),
        ("models.openai.base_url", base_url.as_str()),
    ];
    Process::serve(program(folder.path(), &[], &settings)).await
}

/// Tells the server to read its files again, and waits until it has said this.
async fn reload(process: &Process, said: &str) {
    let before = process.log().matches(said).count();
    process.hang_up();
    eventually(said, async || {
        (process.log().matches(said).count() > before).then_some(())
    })
    .await;
}

async fn agents(client: &Client) -> Value {
    let document = "{ agents { nodes { name instructions currentVersion { number } } } }";
    let data = client.data(document, &json!({})).await;
    let nodes = data["agents"]["nodes"].as_array().unwrap();
    let line = |node: &Value| {
        json!([
            node["name"],
            node["instructions"],
            node["currentVersion"]["number"]
        ])
    };
    nodes.iter().map(line).collect()
}

const TAKEN: &str = "agent files reloaded";
const NOT_TAKEN: &str = "agent file reload failed";

#[tokio::test]
async fn changed_files_are_taken_on_sighup() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = serve(&folder, &upstream).await;
    let client = process.client();
    upstream.then(half_said());
    let input = |agent: &str| json!({ "input": { "agent": agent, "message": { "text": "Hi" } } });
    let started = client.data(SEND, &input("main")).await;
    let id = string(&started["sendMessage"]["run"]["id"]);
    soon("the run", upstream.wait_holding(1)).await;

    write(folder.path(), "main", "Two.");
    write(folder.path(), "new", "New.");
    std::fs::remove_file(folder.path().join("agents/other.toml")).unwrap();
    reload(&process, TAKEN).await;
    assert_eq!(
        agents(&client).await,
        json!([["main", "Two.", 2], ["new", "New.", 1]])
    );
    let error = client.error(SEND, &input("other")).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND", "{error}");
    upstream.release();
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let version = "query($id: ID!) { run(id: $id) { agentVersion { number } } }";
    let data = client.data(version, &json!({ "id": id })).await;
    assert_eq!(data["run"]["agentVersion"]["number"], 1);
    let started = client.data(SEND, &input("main")).await;
    let id = string(&started["sendMessage"]["run"]["id"]);
    ended_run(&client, &id).await;
    let data = client.data(version, &json!({ "id": id })).await;
    assert_eq!(data["run"]["agentVersion"]["number"], 2);
    let asked = upstream.received().pop().unwrap().body;
    assert_eq!(asked["messages"][0]["content"], "Two.");

    // What comes back is the agent that it was.
    write(folder.path(), "other", "Again.");
    reload(&process, TAKEN).await;
    let all = json!([
        ["main", "Two.", 2],
        ["new", "New.", 1],
        ["other", "Again.", 2]
    ]);
    assert_eq!(agents(&client).await, all);
}

#[tokio::test]
async fn of_a_folder_with_a_fault_nothing_is_taken() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = serve(&folder, &upstream).await;
    let client = process.client();
    let before = agents(&client).await;
    let file = |name: &str| folder.path().join(format!("agents/{name}.toml"));
    let good = std::fs::read_to_string(file("other")).unwrap();
    // This one is right, and sorts before the one that is not.
    write(folder.path(), "main", "Two.");
    for (more, told) in [
        ("model = \"acme/x\"\n", ["other.toml: model: ", "acme/x"]),
        (
            "tools = [\"telepathy\"]\n",
            ["other.toml: tools: ", "telepathy"],
        ),
        (
            "[limits]\nmax_steps = 0\n",
            ["other.toml: limits.max_steps: ", "at least 1"],
        ),
        ("toolz = 1\n", ["other.toml: ", "toolz"]),
    ] {
        std::fs::write(file("other"), format!("{good}{more}")).unwrap();
        reload(&process, NOT_TAKEN).await;
        let log = process.log();
        let line = log.lines().rfind(|line| line.contains(NOT_TAKEN)).unwrap();
        assert!(told.iter().all(|word| line.contains(word)), "{line}");
        assert_eq!(agents(&client).await, before);
    }
    std::fs::write(file("other"), &good).unwrap();
    std::fs::remove_file(file("main")).unwrap();
    reload(&process, NOT_TAKEN).await;
    assert!(
        process.log().contains("agents.default"),
        "{}",
        process.log()
    );
    assert_eq!(agents(&client).await, before);
}
