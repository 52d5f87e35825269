//! Agents that ask other agents.

use std::sync::Arc;

use serde_json::{Value, json};
use talkgraph::app::Ended;
use tempfile::TempDir;

use crate::agent_tools::{call, called};
use crate::handoffs::setup;
use crate::interrupts::told;
use crate::shutdown::process;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::talk::{
    cancel, chat, check_sequences, ended_run, events, half_said, run, send, string,
};
use crate::support::upstream::{Received, Script, Upstream};
use crate::support::wait::eventually;

const EVENTS: &str = "subscription($run: ID!, $after: Int) {
    runEvents(runId: $run, after: $after) { __typename sequence
      ... on UsageUpdated { usage { inputTokens outputTokens } }
      ... on ToolCallCompleted { toolCallId result { text isError } }
      ... on ChildRunEvent { toolCallId event { __typename sequence run { id parentRun { id } }
        ... on TextDelta { delta message { text } } ... on StepRestarted { step } } } } }";

const RUN: &str = "query($id: ID!) { run(id: $id) { status parentRun { id } agent { name }
    usage { inputTokens outputTokens }
    childRuns { id status agent { name } usage { inputTokens outputTokens }
      input { text } session { id } parentRun { id } childRuns { id } } } }";

/// `desk` asks `expert`, who asks `clerk`.
fn three() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, more) in [
        ("desk", "agents_as_tools = [\"expert\"]"),
        (
            "expert",
            "tools = [\"calculator\"]\nagents_as_tools = [\"clerk\"]",
        ),
        ("clerk", ""),
    ] {
        let toml = format!(
            "name = \"{name}\"\ndescription = \"Is the {name}.\"\n\
             instructions = \"You are the {name}.\"\n{more}\n"
        );
        std::fs::write(folder.path().join(format!("{name}.toml")), toml).unwrap();
    }
    folder
}

fn asks(questions: &[&str]) -> Script {
    let script = (0..)
        .zip(questions)
        .fold(Script::stream(), |script, (at, question)| {
            let arguments = json!({ "message": question }).to_string();
            call(script, at, "ask_expert", &arguments)
        });
    called(script)
}

fn system(request: &Received) -> String {
    string(&request.body["messages"][0]["content"])
}

fn of_expert(upstream: &Upstream) -> Vec<Received> {
    let received = upstream.received().into_iter();
    received
        .filter(|request| system(request) == "You are the expert.")
        .collect()
}

async fn read(client: &Client, id: &str) -> Value {
    client.data(RUN, &json!({ "id": id })).await["run"].take()
}

async fn log_of(client: &Client, run: &str, after: u64) -> Vec<Value> {
    let variables = json!({ "run": run, "after": after });
    events(client.events(EVENTS, &variables).await.rest().await)
}

/// The events of the children in a log, which are each child's whole log; by child.
fn check_children(log: &[Value], parent: &str, children: &[Value]) {
    check_sequences(log);
    for child in children {
        let inner: Vec<_> = log
            .iter()
            .map(|event| &event["event"])
            .filter(|event| event["run"]["id"] == child["id"])
            .cloned()
            .collect();
        check_sequences(&inner);
        assert!(inner.len() > 3, "{inner:?}");
        assert_eq!(inner[0]["run"]["parentRun"]["id"], parent);
        let last = string(&inner.last().unwrap()["__typename"]);
        assert!(["RunCompleted", "RunCancelled"].contains(&&*last), "{last}");
    }
}

pub(crate) async fn an_agent_asks_another(db: Arc<Database>) {
    let folder = three();
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(asks(&["How many?"]));
    server.upstream.then(Script::tokens(["Forty", "-two."]));
    server.upstream.then(Script::tokens(["It is 42."]));
    let answer = chat(&client, None, "Find out how many").await;
    assert_eq!(answer["message"]["text"], "It is 42.");
    let id = string(&answer["run"]["id"]);

    // The other agent knows the question alone.
    let received = server.upstream.received();
    let asked = &received[1].body["messages"];
    assert_eq!(asked[0]["content"], "You are the expert.");
    assert_eq!(asked[1]["content"], "How many?");
    assert_eq!(asked.as_array().unwrap().len(), 2);
    assert_eq!(told(&server.upstream, 2), ["Forty-two."]);

    // Its run is its own, and what it used is in both.
    let run = read(&client, &id).await;
    let children = run["childRuns"].as_array().unwrap();
    assert_eq!(children.len(), 1);
    let child = &children[0];
    assert_eq!(child["status"], "COMPLETED");
    assert_eq!(child["agent"]["name"], "expert");
    assert_eq!(child["input"]["text"], "How many?");
    assert_eq!(child["parentRun"]["id"], id.as_str());
    assert_eq!(run["parentRun"], Value::Null);
    assert_eq!(
        child["usage"],
        json!({ "inputTokens": 7, "outputTokens": 3 })
    );
    assert_eq!(
        run["usage"],
        json!({ "inputTokens": 21, "outputTokens": 9 })
    );

    // Its events are in the stream of the run that asks, from wherever that is followed.
    let log = log_of(&client, &id, 0).await;
    check_children(&log, &id, children);
    let texts: Vec<_> = log
        .iter()
        .filter(|event| event["event"]["__typename"] == "TextDelta")
        .map(|event| string(&event["event"]["message"]["text"]))
        .collect();
    assert_eq!(texts, ["Forty", "Forty-two."]);
    for after in 0..log.len() {
        assert_eq!(log_of(&client, &id, after as u64).await, log[after..]);
    }

    // Nobody lists or joins what agents say to each other, and it goes with its session.
    let data = client
        .data("{ sessions { nodes { id } } }", &json!({}))
        .await;
    assert_eq!(data["sessions"]["nodes"].as_array().unwrap().len(), 1);
    let hidden = string(&child["session"]["id"]);
    let document = "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }";
    let input = json!({ "input": { "sessionId": hidden, "message": { "text": "Hi" } } });
    let error = client.error(document, &input).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND");
    let document = "mutation($id: ID!) { deleteSession(id: $id) { __typename } }";
    client
        .data(document, &json!({ "id": answer["session"]["id"] }))
        .await;
    let document = "query($id: ID!) { run(id: $id) { id } }";
    let error = client.error(document, &json!({ "id": child["id"] })).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND");
}

pub(crate) async fn a_question_outlasts_a_restart(db: Arc<Database>) {
    let folder = three();
    let first = setup(&folder)
        .set("http.drain_timeout_ms", 1)
        .on(&db)
        .start()
        .await;
    first.upstream.then(asks(&["One?", "Two?"]));
    first.upstream.then(Script::tokens(["Answered."]));
    first.upstream.then(half_said());
    let client = first.client();
    let (_, id) = send(&client, None, "Find out").await;
    first.upstream.wait_holding(1).await;
    eventually("the first answer", async || {
        let run = read(&client, &id).await;
        let children = run["childRuns"].as_array().unwrap();
        let ended = |child: &Value| child["status"] == "COMPLETED";
        (children.len() == 2 && children.iter().any(ended)).then_some(())
    })
    .await;
    assert_eq!(first.stop().await, Ended::Left(2));

    let upstream = Upstream::start().await;
    upstream.then(Script::tokens(["Again."]));
    upstream.then(Script::tokens(["Done."]));
    let base_url = upstream.base_url();
    let second = setup(&folder).on(&db).start_with(upstream, &base_url).await;
    let client = second.client();
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    // What was answered is not asked again, and what was not is asked once.
    assert_eq!(of_expert(&second.upstream).len(), 1);
    let mut results = told(&second.upstream, 1);
    results.sort();
    assert_eq!(results, ["Again.", "Answered."]);
    let run = read(&client, &id).await;
    let children = run["childRuns"].as_array().unwrap();
    assert_eq!(children.len(), 2);
    check_children(&log_of(&client, &id, 0).await, &id, children);
}

pub(crate) async fn a_question_stops_with_its_run(db: Arc<Database>) {
    let folder = three();
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(asks(&["How many?"]));
    server.upstream.then(half_said());
    let (_, id) = send(&client, None, "Find out").await;
    server.upstream.wait_holding(1).await;
    // Sent is not yet taken.
    eventually("the child's first words", async || {
        let children = read(&client, &id).await["childRuns"].take();
        let child = run(&client, &string(&children[0]["id"])).await;
        (child["output"]["text"] == "one two ").then_some(())
    })
    .await;
    cancel(&client, &id).await;
    assert_eq!(ended_run(&client, &id).await["status"], "CANCELLED");
    server.upstream.wait_closed(1).await;
    let run = read(&client, &id).await;
    let children = run["childRuns"].as_array().unwrap();
    assert_eq!(children[0]["status"], "CANCELLED");
    check_children(&log_of(&client, &id, 0).await, &id, children);
}

#[tokio::test]
async fn a_question_stops_when_its_run_is_out_of_time() {
    let folder = three();
    let server = setup(&folder).set("runs.timeout_s", 1).start().await;
    let client = server.client();
    server.upstream.then(asks(&["How many?"]));
    server.upstream.then(half_said());
    let answer = chat(&client, None, "Find out").await;
    assert_eq!(answer["run"]["error"]["code"], "RUN_TIMEOUT");
    let run = read(&client, &string(&answer["run"]["id"])).await;
    assert_ne!(run["childRuns"][0]["status"], "RUNNING");
}

#[tokio::test]
async fn questions_are_asked_at_once_with_one_place_and_only_so_deep() {
    let folder = three();
    let server = setup(&folder)
        .set("runs.max_depth", 1)
        .set("runs.active", 1)
        .file("[tools.approval]\ncalculator = \"always\"\n")
        .start()
        .await;
    let client = server.client();
    server.upstream.then(asks(&["One?", "Two?"]));
    server.upstream.then(half_said());
    server.upstream.then(half_said());
    let (_, id) = send(&client, None, "Find out").await;
    server.upstream.wait_holding(2).await;
    // At the bottom nobody is told of others.
    for request in of_expert(&server.upstream) {
        let tools = request.body["tools"].as_array().unwrap();
        let names: Vec<_> = tools.iter().map(|tool| &tool["function"]["name"]).collect();
        assert_eq!(names, ["calculator"]);
    }
    server.upstream.then(Script::tokens(["Both."]));
    server.upstream.release();
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");

    // Nobody can be asked to approve what such a run wants: it is told so, and goes on.
    let calculates = call(
        Script::stream(),
        0,
        "calculator",
        r#"{"expression": "6*7"}"#,
    );
    server.upstream.then(asks(&["How many?"]));
    server.upstream.then(called(calculates));
    server.upstream.then(Script::tokens(["I may not."]));
    server.upstream.then(Script::tokens(["Well."]));
    let before = server.upstream.received().len();
    let answer = chat(&client, None, "Find out").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    let results = told(&server.upstream, before + 2);
    assert!(results[0].contains("requires approval"), "{results:?}");
    assert_eq!(told(&server.upstream, before + 3), ["I may not."]);
}

#[tokio::test]
async fn a_question_may_be_wrong_or_fail() {
    let folder = three();
    let server = setup(&folder).start().await;
    let client = server.client();
    server
        .upstream
        .then(called(call(Script::stream(), 0, "ask_expert", "{}")));
    server.upstream.then(asks(&["How many?"]));
    server.upstream.then(Script::status(400));
    server.upstream.then(Script::tokens(["Nobody knows."]));
    let answer = chat(&client, None, "Find out").await;
    assert_eq!(answer["message"]["text"], "Nobody knows.");
    let results = told(&server.upstream, 3);
    assert!(results[0].contains("not valid"), "{results:?}");
    assert!(results[1].contains("the agent has failed"), "{results:?}");
}

#[tokio::test]
async fn a_killed_server_leaves_no_second_child() {
    let (agents, folder) = (three(), TempDir::new().unwrap());
    let upstream = Upstream::start().await;
    let agents = agents.path().display().to_string();
    let settings = [
        ("agents.folder", agents.as_str()),
        ("agents.default", "desk"),
    ];
    let mut first = process(&folder, &upstream, &settings).await;
    upstream.then(asks(&["How many?"]));
    upstream.then(half_said());
    let (_, id) = send(&first.client(), None, "Find out").await;
    upstream.wait_holding(1).await;
    first.kill();
    assert_eq!(first.exit_code().await, None);

    upstream.then(Script::tokens(["Forty-two."]));
    upstream.then(Script::tokens(["Done."]));
    let second = process(&folder, &upstream, &settings).await;
    let client = second.client();
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let run = read(&client, &id).await;
    let children = run["childRuns"].as_array().unwrap();
    assert_eq!(children.len(), 1);
    let calls = upstream.received().len();
    assert_eq!(told(&upstream, calls - 1), ["Forty-two."]);
    let log = log_of(&client, &id, 0).await;
    check_children(&log, &id, children);
    let restarted = |event: &&Value| event["event"]["__typename"] == "StepRestarted";
    assert_eq!(log.iter().filter(restarted).count(), 1);
}
