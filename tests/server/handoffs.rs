//! Conversations that move from one agent to another.

use std::sync::Arc;

use serde_json::{Value, json};
use talkgraph::app::Ended;
use tempfile::TempDir;

use crate::agent_tools::{call, called};
use crate::interrupts::{approve, resolve, told, waits};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    chat, check_sequences, ended_run, events, follow, half_said, kinds, run_events, send, string,
};
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::soon;

/// What a hand-off tells.
const HANDED_OFF: &str = "subscription($run: ID!) { runEvents(runId: $run) { __typename sequence
    ... on ToolCallCompleted { toolCallId result { text isError } }
    ... on HandedOff { toolCallId fromAgent { name } toAgent { name } reason } } }";

/// Two agents that hand the conversation to each other.
pub(crate) fn two() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, other, tool) in [
        ("desk", "expert", "calculator"),
        ("expert", "desk", "current_time"),
    ] {
        let toml = format!(
            "name = \"{name}\"\ndescription = \"Is the {name}.\"\n\
             instructions = \"You are the {name}.\"\n\
             tools = [\"{tool}\"]\nhandoffs = [\"{other}\"]\n"
        );
        std::fs::write(folder.path().join(format!("{name}.toml")), toml).unwrap();
    }
    folder
}

pub(crate) fn setup(folder: &TempDir) -> Setup {
    Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "desk")
}

pub(crate) fn hands_over(to: &str, arguments: &str) -> Script {
    let name = format!("handoff_to_{to}");
    called(call(Script::stream(), 0, &name, arguments))
}

/// The system message of a call of the model, and the tools that it was told of.
pub(crate) fn told_as(upstream: &Upstream, call: usize) -> (String, Vec<String>) {
    let body = &upstream.received()[call].body;
    let tools = body["tools"].as_array().unwrap().iter();
    let names = tools.map(|tool| string(&tool["function"]["name"]));
    (string(&body["messages"][0]["content"]), names.collect())
}

/// The agents of a session and of a run, by name.
pub(crate) async fn agents_of(client: &Client, session: &str, run: &str) -> [String; 2] {
    let document = "query($session: ID!, $run: ID!) { session(id: $session) { agent { name } }
        run(id: $run) { agent { name } agentVersion { instructions } } }";
    let data = client
        .data(document, &json!({ "session": session, "run": run }))
        .await;
    let (session, run) = (&data["session"], &data["run"]);
    let name = string(&run["agent"]["name"]);
    let instructions = string(&run["agentVersion"]["instructions"]);
    assert_eq!(instructions, format!("You are the {name}."));
    [string(&session["agent"]["name"]), name]
}

async fn log_of(client: &Client, run: &str) -> Vec<Value> {
    let events_of = client.events(HANDED_OFF, &json!({ "run": run })).await;
    let log = events(events_of.rest().await);
    check_sequences(&log);
    log
}

pub(crate) async fn a_conversation_moves_to_another_agent(db: Arc<Database>) {
    let folder = two();
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    let script = call(
        Script::stream(),
        0,
        "handoff_to_expert",
        r#"{"reason": "It is hard."}"#,
    );
    let script = call(script, 1, "calculator", r#"{"expression": "6*7"}"#);
    let script = call(script, 2, "handoff_to_expert", "{}");
    server.upstream.then(called(script));
    server
        .upstream
        .then(Script::tokens(["I am ", "the expert."]));

    let document = "subscription { sessionChanged { id agent { name } } }";
    let changes = client.events(document, &json!({})).await;
    let answer = chat(&client, None, "A hard one").await;
    assert_eq!(answer["message"]["text"], "I am the expert.");
    let (session, run) = (
        string(&answer["session"]["id"]),
        string(&answer["run"]["id"]),
    );
    assert_eq!(
        agents_of(&client, &session, &run).await,
        ["expert", "expert"]
    );
    let mut changes = changes;
    soon("news of the session", async {
        loop {
            let change = changes.next().await.unwrap();
            let changed = &change["data"]["sessionChanged"];
            if changed["agent"]["name"] == "expert" {
                assert_eq!(changed["id"], session.as_str());
                return;
            }
        }
    })
    .await;

    // Each was asked with its own instructions and tools.
    let (system, tools) = told_as(&server.upstream, 0);
    assert_eq!(system, "You are the desk.");
    assert_eq!(tools, ["calculator", "handoff_to_expert"]);
    let (system, tools) = told_as(&server.upstream, 1);
    assert_eq!(system, "You are the expert.");
    assert_eq!(tools, ["current_time", "handoff_to_desk"]);
    // Each call has its result, the other tools' first, and the second hand-off came too late.
    let results = told(&server.upstream, 1);
    assert_eq!(results[0], "42");
    assert!(results[1].contains("You are expert"), "{results:?}");
    assert!(results[2].contains("already"), "{results:?}");

    let log = log_of(&client, &run).await;
    let at = |kind: &str| kinds(&log).iter().position(|one| one == kind).unwrap();
    let handed = &log[at("HandedOff")];
    assert_eq!(handed["fromAgent"]["name"], "desk");
    assert_eq!(handed["toAgent"]["name"], "expert");
    assert_eq!(handed["reason"], "It is hard.");
    assert!(at("ToolCallCompleted") < at("HandedOff"));
    let count = |kind: &str| kinds(&log).iter().filter(|one| *one == kind).count();
    assert_eq!((count("HandedOff"), count("ToolCallCompleted")), (1, 3));
    // From wherever it is followed.
    let whole = run_events(&client, &run, 0).await;
    for after in 0..whole.len() {
        let rest = run_events(&client, &run, after as u64).await;
        assert_eq!(rest, whole[after..]);
    }

    // The next message is the other agent's.
    chat(&client, Some(&session), "Thanks").await;
    assert_eq!(told_as(&server.upstream, 2).0, "You are the expert.");
}

pub(crate) async fn the_next_server_goes_on_with_the_new_agent(db: Arc<Database>) {
    let folder = two();
    let first = setup(&folder)
        .set("http.drain_timeout_ms", 1)
        .on(&db)
        .start()
        .await;
    first.upstream.then(hands_over("expert", "{}"));
    first.upstream.then(half_said());
    let (session, run) = send(&first.client(), None, "A hard one").await;
    first.upstream.wait_holding(1).await;
    assert_eq!(first.stop().await, Ended::Left(1));

    let upstream = Upstream::start().await;
    upstream.then(hands_over("desk", "{}"));
    upstream.then(Script::tokens(["Done."]));
    let base_url = upstream.base_url();
    let second = setup(&folder).on(&db).start_with(upstream, &base_url).await;
    let client = second.client();
    assert_eq!(ended_run(&client, &run).await["status"], "COMPLETED");
    assert_eq!(told_as(&second.upstream, 0).0, "You are the expert.");
    assert_eq!(told_as(&second.upstream, 1).0, "You are the desk.");
    assert_eq!(agents_of(&client, &session, &run).await, ["desk", "desk"]);
    let handed: Vec<_> = log_of(&client, &run)
        .await
        .into_iter()
        .filter(|event| event["__typename"] == "HandedOff")
        .map(|event| string(&event["toAgent"]["name"]))
        .collect();
    assert_eq!(handed, ["expert", "desk"]);
}

pub(crate) async fn a_hand_off_waits_for_what_is_asked_before(db: Arc<Database>) {
    let folder = two();
    let careful = || setup(&folder).file("[tools.approval]\ncalculator = \"always\"\n");
    let first = careful().on(&db).start().await;
    let script = call(Script::stream(), 0, "handoff_to_expert", "{}");
    let script = call(script, 1, "calculator", r#"{"expression": "6*7"}"#);
    first.upstream.then(called(script));
    let (session, run) = send(&first.client(), None, "A hard one").await;
    let open = waits(&first.client(), &run).await;
    assert_eq!(
        agents_of(&first.client(), &session, &run).await,
        ["desk", "desk"]
    );
    first.stop().await;

    let second = careful().on(&db).start().await;
    let client = second.client();
    let watching = follow(&client, &run, 0).await;
    second.upstream.then(Script::tokens(["Done."]));
    resolve(&client, &run, json!([approve(&open[0])])).await;
    check_sequences(&events(watching.rest().await));
    assert_eq!(
        agents_of(&client, &session, &run).await,
        ["expert", "expert"]
    );
    let results = told(&second.upstream, 0);
    assert_eq!(results[0], "42");
    assert!(results[1].contains("You are expert"), "{results:?}");
}

#[tokio::test]
async fn agents_do_not_hand_over_for_ever() {
    let folder = two();
    let server = setup(&folder).set("runs.max_handoffs", 2).start().await;
    let client = server.client();
    for to in ["expert", "desk", "expert"] {
        server.upstream.then(hands_over(to, "{}"));
    }
    server.upstream.then(Script::tokens(["Well then."]));
    let answer = chat(&client, None, "Whose is it?").await;
    assert_eq!(answer["message"]["text"], "Well then.");
    let run = string(&answer["run"]["id"]);
    let kinds = kinds(&log_of(&client, &run).await);
    assert_eq!(kinds.iter().filter(|kind| *kind == "HandedOff").count(), 2);
    assert_eq!(told_as(&server.upstream, 3).0, "You are the desk.");
    let results = told(&server.upstream, 3);
    assert!(results[2].contains("handed over 2 times"), "{results:?}");
}

#[tokio::test]
async fn a_client_has_no_tool_that_is_called_as_a_hand_off() {
    let folder = two();
    let server = setup(&folder).start().await;
    let client = server.client();
    let tool = json!({ "name": "handoff_to_expert", "description": "Something else.",
        "parameters": { "type": "object" } });
    let document = "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }";
    let input = json!({ "message": { "text": "Hello" }, "clientTools": [tool] });
    let error = client.error(document, &json!({ "input": input })).await;
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    // A hand-off that makes no sense is a mistake as any other.
    server.upstream.then(hands_over("expert", "[]"));
    server.upstream.then(Script::tokens(["Hm."]));
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["message"]["text"], "Hm.");
    assert_eq!(told_as(&server.upstream, 1).0, "You are the desk.");
}

#[tokio::test]
async fn an_agent_of_the_api_hands_over_and_asks() {
    let server = Setup::new().start().await;
    let client = server.client();
    let document = "mutation($input: CreateAgentInput!) { createAgent(input: $input) {
        agent { handoffs agentsAsTools } } }";
    let agent = |name: &str, handoffs: Value, asked: Value| {
        json!({ "input": { "name": name, "description": "Is new.", "instructions": "Be new.",
            "handoffs": handoffs, "agentsAsTools": asked } })
    };
    let inner = agent("inner", json!([]), json!([]));
    client.data(document, &inner).await;
    let outer = agent("outer", json!(["research"]), json!(["inner"]));
    let made = client.data(document, &outer).await;
    let made = &made["createAgent"]["agent"];
    assert_eq!(made["handoffs"], json!(["research"]));
    assert_eq!(made["agentsAsTools"], json!(["inner"]));
    // None asks itself, through others either.
    let update = "mutation($input: UpdateAgentInput!) { updateAgent(input: $input) {
        agent { id } } }";
    let found = "{ agent(name: \"inner\") { id } }";
    let id = client.data(found, &json!({})).await["agent"]["id"].take();
    let circle = json!({ "input": { "id": id, "expectedVersion": 1, "agentsAsTools": ["outer"] } });
    let error = client.error(update, &circle).await;
    assert_eq!(
        error["extensions"]["field"], "input.agentsAsTools",
        "{error}"
    );

    server.upstream.then(hands_over("research", "{}"));
    server.upstream.then(Script::tokens(["Read."]));
    let document = "mutation($input: ChatInput!) { chat(input: $input) {
        session { agent { name } } message { text } } }";
    let input = json!({ "input": { "agent": "outer", "message": { "text": "Hello" } } });
    let answer = client.data(document, &input).await;
    assert_eq!(answer["chat"]["session"]["agent"]["name"], "research");
    let (_, tools) = told_as(&server.upstream, 0);
    assert_eq!(tools, ["handoff_to_research", "ask_inner"]);
}
