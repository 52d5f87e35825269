//! Deleted sessions: nothing of them is left, in no file of the database and in no dump.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::agent_tools::{call, called};
use crate::interrupts::{resolve, waits};
use crate::summaries::{SHORT, agents, notes, setup};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::process::{Process, program};
use crate::support::server::Setup;
use crate::support::talk::{
    SEND, cancel, chat, ended_run, half_said, input, messages, send, string, wait_status,
};
use crate::support::upstream::{Script, Upstream, chunk};
use crate::support::wait::eventually;

const DELETE: &str = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } userMessage { id } message { id } run { id status } } }";

/// Strings that are in the database once for each of their places, and nowhere else.
#[derive(Default)]
struct Canaries(Vec<String>);

impl Canaries {
    fn plant(&mut self, place: &str) -> String {
        let canary = format!("canary{place}{:016x}", fastrand::u64(..));
        self.0.push(canary.clone());
        canary
    }

    /// Checks that each of them can be found, and then says how to find out that none can.
    async fn check_planted(&self, db: &Database) {
        let found = db.found(&self.0).await;
        assert_eq!(found, self.0, "what is planted is found");
    }

    async fn wait_gone(&self, db: &Database) {
        eventually("nothing to be left", async || {
            db.found(&self.0).await.is_empty().then_some(())
        })
        .await;
    }
}

fn file(name: &str, content: &str) -> Value {
    json!({ "name": format!("{name}.txt"), "data": STANDARD.encode(content) })
}

/// A file, variables, reasoning, an answer and a key. Returns the payload of the chat.
async fn says_much(client: &Client, upstream: &Upstream, planted: &mut Canaries) -> Value {
    let reasoning = chunk(&json!({ "reasoning_content": planted.plant("reasoning") }));
    let answer = planted.plant("answer");
    upstream.then(Script::stream().event(reasoning).text([answer]).ended());
    let files = [file(&planted.plant("name"), &planted.plant("content"))];
    let variables = json!({ "input": {
        "message": { "text": planted.plant("text"), "files": files },
        "variables": { "name": planted.plant("variable") },
        "idempotencyKey": planted.plant("key"),
    } });
    let data = client.data(CHAT, &variables).await;
    assert_eq!(data["chat"]["run"]["status"], "COMPLETED", "{data}");
    let update = "mutation($input: UpdateSessionInput!) { updateSession(input: $input) {
        session { id } } }";
    let changed = json!({ "input": { "id": data["chat"]["session"]["id"],
        "title": planted.plant("title"), "metadata": { "note": planted.plant("metadata") } } });
    client.data(update, &changed).await;
    data["chat"].clone()
}

/// A call that the client makes, with its arguments and its result.
async fn calls(client: &Client, session: &str, upstream: &Upstream, planted: &mut Canaries) {
    let arguments = json!({ "city": planted.plant("arguments") }).to_string();
    upstream.then(called(call(Script::stream(), 0, "show_map", &arguments)));
    upstream.then(Script::tokens(["There it is."]));
    let mut variables = input(Some(session), "Show me");
    variables["input"]["clientTools"] = json!([{ "name": "show_map",
        "description": planted.plant("tool"), "parameters": { "type": "object" } }]);
    let data = client.data(SEND, &variables).await;
    let run = string(&data["sendMessage"]["run"]["id"]);
    let open = waits(client, &run).await;
    let result = json!({ "interruptId": open[0]["id"], "text": planted.plant("result") });
    resolve(client, &run, json!([{ "result": result }])).await;
    assert_eq!(ended_run(client, &run).await["status"], "COMPLETED");
}

/// An answer that is data.
async fn fills_a_form(client: &Client, session: &str, upstream: &Upstream, planted: &mut Canaries) {
    upstream.then(Script::tokens([
        json!({ "it": planted.plant("data") }).to_string()
    ]));
    let mut variables = input(Some(session), "Fill it in");
    variables["input"]["outputSchema"] = json!({ "type": "object", "required": ["it"],
        "description": planted.plant("schema"), "properties": { "it": { "type": "string" } } });
    let data = client.data(CHAT, &variables).await;
    assert_eq!(data["chat"]["run"]["status"], "COMPLETED", "{data}");
}

pub(crate) async fn nothing_of_a_deleted_session_is_left(db: Arc<Database>) {
    let folder = agents(SHORT);
    let server = setup(&folder).set("runs.lease_s", 1).on(&db).start().await;
    let (client, upstream) = (server.client(), &server.upstream);
    let mut planted = Canaries::default();
    let said = says_much(&client, upstream, &mut planted).await;
    let session = string(&said["session"]["id"]);
    calls(&client, &session, upstream, &mut planted).await;
    fills_a_form(&client, &session, upstream, &mut planted).await;
    upstream.then(notes(&planted.plant("summary")));
    let last = chat(&client, Some(&session), "And?").await;
    assert_eq!(last["run"]["status"], "COMPLETED", "{last}");
    planted.check_planted(&db).await;
    let key = planted.0.iter().find(|one| one.starts_with("canarykey"));
    let key = key.unwrap().clone();

    // Others write and are answered meanwhile.
    let mut kept = Canaries::default();
    let other = chat(&client, None, &kept.plant("text")).await;
    let other = string(&other["session"]["id"]);
    upstream.then(half_said());
    let (_, streaming) = send(&client, Some(&other), "Count").await;
    upstream.wait_holding(1).await;
    client.data(DELETE, &json!({ "id": session })).await;
    gone_for_every_reader(&client, &said).await;
    planted.wait_gone(&db).await;
    gone_for_every_reader(&client, &said).await;
    upstream.release();
    let ended = ended_run(&client, &streaming).await;
    assert_eq!(ended["output"]["text"], crate::support::talk::WHOLE);
    assert_eq!(messages(&client, &other).await.len(), 4);
    kept.check_planted(&db).await;

    // The key still refers to the deleted run.
    let calls = upstream.received().len();
    let mut again = input(None, "Again");
    again["input"]["idempotencyKey"] = key.clone().into();
    let error = client.error(CHAT, &again).await;
    assert_eq!(error["extensions"]["field"], "input.idempotencyKey");
    assert_eq!(upstream.received().len(), calls);
    assert_eq!(db.found(&[key]).await, [""; 0]);
}

async fn gone_for_every_reader(client: &Client, said: &Value) {
    for id in [
        &said["session"]["id"],
        &said["userMessage"]["id"],
        &said["message"]["id"],
        &said["run"]["id"],
    ] {
        let document = "query($id: ID!) { node(id: $id) { id } }";
        let data = client.data(document, &json!({ "id": id })).await;
        assert_eq!(data["node"], Value::Null);
    }
    let document = "query($id: ID!) { run(id: $id) { id } }";
    let variables = json!({ "id": said["run"]["id"] });
    let error = client.error(document, &variables).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND", "{error}");
}

pub(crate) async fn a_session_is_deleted_once_its_run_is_cancelled(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let mut planted = Canaries::default();
    let said = planted.plant("said");
    let held = Script::stream().text([said]).hold().ended();
    server.upstream.then(held);
    let (session, run) = send(&client, None, &planted.plant("text")).await;
    server.upstream.wait_holding(1).await;
    let id = json!({ "id": session });
    let error = client.error(DELETE, &id).await;
    assert_eq!(error["extensions"]["code"], "CONFLICT", "{error}");
    wait_status(&client, &run, "RUNNING").await;
    let document = "subscription($id: ID!) { sessionEvents(sessionId: $id) { sequence } }";
    let mut follower = client.events(document, &id).await;
    assert!(follower.next().await.is_some());
    cancel(&client, &run).await;
    client.data(DELETE, &id).await;
    // Its follower receives what is left of the run, or ends at once; it ends in any case.
    while follower.next().await.is_some() {}
    planted.wait_gone(&db).await;
    let error = client.error(DELETE, &id).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND", "{error}");
}

pub(crate) async fn a_fork_keeps_the_files_that_it_shows(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let (mut shared, mut own) = (Canaries::default(), Canaries::default());
    let content = shared.plant("content");
    let mut variables = input(None, &own.plant("text"));
    variables["input"]["message"]["files"] = json!([file("notes", &content)]);
    let first = client.data(CHAT, &variables).await["chat"].take();
    let fork = "mutation($id: ID!) { forkSession(input: { messageId: $id }) { session { id
        messages { nodes { parts { ... on FilePart { data } } } } } } }";
    let forked = client
        .data(fork, &json!({ "id": first["message"]["id"] }))
        .await["forkSession"]["session"]
        .take();
    let mut last = input(Some(first["session"]["id"].as_str().unwrap()), "");
    last["input"]["message"]["text"] = own.plant("last").into();
    client.data(CHAT, &last).await;
    let only = Canaries(own.0.split_off(1));
    only.check_planted(&db).await;

    client
        .data(DELETE, &json!({ "id": first["session"]["id"] }))
        .await;
    only.wait_gone(&db).await;
    let document = "query($id: ID!) { session(id: $id) { messages { nodes { parts {
        ... on FilePart { data } } } } } }";
    let id = json!({ "id": forked["id"] });
    let read = client.data(document, &id).await;
    let parts = &read["session"]["messages"]["nodes"][0]["parts"];
    let shown = parts.as_array().unwrap().iter();
    let data: Vec<_> = shown.filter_map(|part| part["data"].as_str()).collect();
    assert_eq!(data, [STANDARD.encode(&content)]);
    shared.check_planted(&db).await;

    client.data(DELETE, &id).await;
    shared.wait_gone(&db).await;
    own.wait_gone(&db).await;
}

/// A server that is killed while it removes what is deleted: the next one goes on.
#[tokio::test]
async fn a_killed_server_leaves_the_removal_to_the_next() {
    let (folder, upstream) = (tempfile::TempDir::new().unwrap(), Upstream::start().await);
    let base_url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", &*base_url),
        ("runs.lease_s", "1"),
    ];
    let mut planted = Canaries::default();
    let mut server = Process::serve(program(folder.path(), &[], &settings)).await;
    let client = server.client();
    let mut session = None;
    // Enough of it that its removal takes several batches.
    for _ in 0..40 {
        let answer = chat(&client, session.as_deref(), &planted.plant("text")).await;
        session = Some(string(&answer["session"]["id"]));
    }
    let answer = chat(&client, None, "stays").await;
    let stays = string(&answer["session"]["id"]);
    client.data(DELETE, &json!({ "id": session })).await;
    server.kill();
    server.exit_code().await;

    let server = Process::serve(program(folder.path(), &[], &settings)).await;
    let client = server.client();
    let document = "query($id: ID!) { session(id: $id) { id } }";
    let error = client.error(document, &json!({ "id": session })).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND", "{error}");
    eventually("nothing to be left", async || {
        let found = crate::support::database::found_in(folder.path(), &planted.0);
        found.is_empty().then_some(())
    })
    .await;
    assert_eq!(messages(&client, &stays).await.len(), 2);
}
