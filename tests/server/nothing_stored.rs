//! Mutations of what is not there, or is another tenant's, store nothing at all.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::process::{Process, program};
use crate::support::talk::{chat, string};
use crate::support::upstream::Upstream;

const ALICE: &str = "alice-key-0123456789abcdef";
const BOB: &str = "bob-key-0123456789abcdef";

/// The rows of every table, by its name; of the full-text index as well.
async fn rows(folder: &TempDir) -> Vec<(String, i64)> {
    let path = folder.path().join("talkgraph.db");
    let mut database = SqliteConnection::connect(&path.to_string_lossy())
        .await
        .unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let names: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut database)
        .await
        .unwrap();
    let mut rows = Vec::new();
    for name in names {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM \"{name}\""));
        let count = sqlx::query_scalar(count)
            .fetch_one(&mut database)
            .await
            .unwrap();
        rows.push((name, count));
    }
    rows
}

/// The ids of Alice's objects.
struct Things {
    session: String,
    message: String,
    run: String,
    agent: String,
}

impl Things {
    async fn of(client: &Client) -> Self {
        let said = chat(client, None, "Hello").await;
        let agent =
            "mutation($input: CreateAgentInput!) { createAgent(input: $input) { agent { id } } }";
        let input = json!({ "input": {
            "name": "own", "description": "Mine.", "instructions": "Help.", "models": ["openai/gpt-test"]
        } });
        let agent = client.data(agent, &input).await;
        Self {
            session: string(&said["session"]["id"]),
            message: string(&said["userMessage"]["id"]),
            run: string(&said["run"]["id"]),
            agent: string(&agent["createAgent"]["agent"]["id"]),
        }
    }

    fn missing() -> Self {
        let id = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
        Self {
            session: id("ses"),
            message: id("msg"),
            run: id("run"),
            agent: id("agt"),
        }
    }

    /// Each mutation of a thing, with its variables and a key where it takes one.
    fn mutations(&self) -> Vec<(&'static str, Value)> {
        let message = json!({ "text": "Hi" });
        let of_message =
            json!({ "messageId": self.message, "message": message, "idempotencyKey": "k1" });
        let again = json!({ "messageId": self.message, "idempotencyKey": "k2" });
        let in_session =
            json!({ "sessionId": self.session, "message": message, "idempotencyKey": "k3" });
        let answers = json!({
            "runId": self.run,
            "idempotencyKey": "k4",
            "resolutions": [{ "approve": { "interruptId": "int_01h455vb4pex5vsknk084sn02q" } }],
        });
        let version = json!({ "id": self.agent, "version": 1, "expectedVersion": 1 });
        let changed = json!({ "id": self.agent, "expectedVersion": 1, "description": "x" });
        vec![
            (
                "mutation($id: ID!) { cancelRun(id: $id, idempotencyKey: \"k0\") { run { id } } }",
                json!({ "id": self.run }),
            ),
            (
                "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }",
                json!({ "id": self.session }),
            ),
            (
                "mutation($id: ID!) { deleteAgent(id: $id) { deletedAgentId } }",
                json!({ "id": self.agent }),
            ),
            (
                "mutation($input: EditMessageInput!) { editMessage(input: $input) { run { id } } }",
                json!({ "input": of_message }),
            ),
            (
                "mutation($input: RegenerateInput!) { regenerate(input: $input) { run { id } } }",
                json!({ "input": again }),
            ),
            (
                "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }",
                json!({ "input": in_session }),
            ),
            (
                "mutation($input: ChatInput!) { chat(input: $input) { run { id } } }",
                json!({ "input": in_session }),
            ),
            (
                "mutation($input: ResolveInterruptsInput!) { resolveInterrupts(input: $input) { run { id } } }",
                json!({ "input": answers }),
            ),
            (
                "mutation($input: ForkSessionInput!) { forkSession(input: $input) { session { id } } }",
                json!({ "input": { "messageId": self.message } }),
            ),
            (
                "mutation($input: SwitchBranchInput!) { switchBranch(input: $input) { session { id } } }",
                json!({ "input": { "messageId": self.message } }),
            ),
            (
                "mutation($input: UpdateSessionInput!) { updateSession(input: $input) { session { id } } }",
                json!({ "input": { "id": self.session, "title": "x" } }),
            ),
            (
                "mutation($input: UpdateAgentInput!) { updateAgent(input: $input) { agent { id } } }",
                json!({ "input": changed }),
            ),
            (
                "mutation($input: SetCurrentAgentVersionInput!) { setCurrentAgentVersion(input: $input) { agent { id } } }",
                json!({ "input": version }),
            ),
            (
                "mutation($input: CallToolInput!) { callTool(input: $input) { tool { name } } }",
                json!({ "input": { "name": "no_such_tool", "arguments": {} } }),
            ),
        ]
    }
}

#[tokio::test]
async fn mutations_of_nothing_store_nothing() {
    let upstream = Upstream::start().await;
    let folder = TempDir::new().unwrap();
    let keys = [(ALICE, "shop"), (BOB, "bank")].map(|(key, tenant)| {
        let setting = crate::support::server::key_setting(key, tenant, tenant);
        setting.replace(
            "[[auth.keys]]",
            "[[auth.keys]]\nscopes = [\"agents:write\", \"tools:call\"]",
        )
    });
    std::fs::write(folder.path().join("talkgraph.toml"), keys.concat()).unwrap();
    let url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", url.as_str()),
        ("models.openai.api_key", "sk-test"),
    ];
    let server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    let (alice, bob) = (
        Client::new(&server.address, Some(ALICE)),
        Client::new(&server.address, Some(BOB)),
    );
    let things = Things::of(&alice).await;
    let before = rows(&folder).await;
    assert!(
        before
            .iter()
            .any(|(table, count)| table == "messages" && *count == 2),
        "{before:?}"
    );
    for (client, things) in [(&bob, &things), (&alice, &Things::missing())] {
        for (document, variables) in things.mutations() {
            let error = client.error(document, &variables).await;
            assert_eq!(
                error["extensions"]["code"], "NOT_FOUND",
                "{document}: {error}"
            );
            assert_eq!(rows(&folder).await, before, "{document}");
        }
    }
    // What is there has its key kept.
    let cancel = "mutation($id: ID!) { cancelRun(id: $id, idempotencyKey: \"k0\") { run { id } } }";
    alice.data(cancel, &json!({ "id": things.run })).await;
    assert_ne!(rows(&folder).await, before);
}
