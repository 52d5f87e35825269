//! Calls that a person has to approve.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{PARTS, agents, calculates, call, called, setup, shown};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    chat, check_sequences, ended_run, events, follow, kinds, run, run_events, send, string,
};
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::eventually;

/// What everybody wants to know of an interrupt.
pub(crate) const INTERRUPT: &str = "__typename id toolName toolCallId arguments createdAt
    expiresAt run { id status } resolution { kind arguments reason resolvedAt
      result { text isError truncated } }";

pub(crate) const RESOLVE: &str = "mutation($input: ResolveInterruptsInput!) {
    resolveInterrupts(input: $input) { run { id status interrupts { id } }
      interrupts { id resolution { kind arguments reason result { text isError truncated } } } } }";

/// The calculator needs approval, always.
pub(crate) fn careful(folder: &TempDir) -> Setup {
    setup(folder).file("[tools.approval]\ncalculator = \"always\"\n")
}

/// What a run waits for, once it waits.
pub(crate) async fn waits(client: &Client, id: &str) -> Vec<Value> {
    let document =
        format!("query($id: ID!) {{ run(id: $id) {{ status interrupts {{ {INTERRUPT} }} }} }}");
    eventually("the run to wait", async || {
        let mut data = client.data(&document, &json!({ "id": id })).await;
        let run = data["run"].take();
        let waits = run["status"] == "AWAITING_INPUT";
        waits.then(|| run["interrupts"].as_array().unwrap().clone())
    })
    .await
}

/// `resolveInterrupts`: what it gives.
pub(crate) async fn resolve(client: &Client, run: &str, resolutions: Value) -> Value {
    let variables = json!({ "input": { "runId": run, "resolutions": resolutions } });
    client.data(RESOLVE, &variables).await["resolveInterrupts"].take()
}

/// Why `resolveInterrupts` refuses, as `CODE field`.
pub(crate) async fn refusal(client: &Client, run: &str, resolutions: Value) -> String {
    let variables = json!({ "input": { "runId": run, "resolutions": resolutions } });
    let error = client.error(RESOLVE, &variables).await;
    let extensions = &error["extensions"];
    format!(
        "{} {}",
        string(&extensions["code"]),
        string(&extensions["field"])
    )
}

pub(crate) fn approve(interrupt: &Value) -> Value {
    json!({ "approve": { "interruptId": interrupt["id"] } })
}

pub(crate) fn reject(interrupt: &Value, reason: &str) -> Value {
    json!({ "reject": { "interruptId": interrupt["id"], "reason": reason } })
}

/// What the tools have told the model in a call of it.
pub(crate) fn told(upstream: &Upstream, call: usize) -> Vec<String> {
    let messages = shown(upstream, call).into_iter();
    messages
        .filter(|message| message["role"] == "tool")
        .map(|message| string(&message["content"]))
        .collect()
}

pub(crate) async fn parts(client: &Client, id: &str) -> Value {
    let mut data = client.data(PARTS, &json!({ "id": id })).await;
    data["run"]["output"]["parts"].take()
}

pub(crate) async fn a_call_waits_for_its_approval(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).set("runs.active", 1).on(&db).start().await;
    let client = server.client();
    let script = call(
        Script::stream(),
        0,
        "calculator",
        "{\"expression\": \"6*7\"}",
    );
    let script = call(script, 1, "current_time", "{}");
    server.upstream.then(called(script));

    // Whoever waits for the answer is told what it takes.
    let answer = chat(&client, None, "6*7?").await;
    assert_eq!(answer["run"]["status"], "AWAITING_INPUT", "{answer}");
    assert_eq!(answer["message"], Value::Null);
    let (id, session) = (
        string(&answer["run"]["id"]),
        string(&answer["session"]["id"]),
    );
    let open = waits(&client, &id).await;
    assert_eq!(open.len(), 1, "the other call needs none");
    assert_eq!(open[0]["__typename"], "ToolApproval");
    assert_eq!(open[0]["toolName"], "calculator");
    assert_eq!(open[0]["arguments"], json!({ "expression": "6*7" }));
    assert_eq!(open[0]["resolution"], Value::Null);
    assert_eq!(
        open[0]["run"],
        json!({ "id": id, "status": "AWAITING_INPUT" })
    );
    let mut watching = follow(&client, &id, 0).await;
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|event: &Value| event["__typename"] != "InterruptRequested")
    {
        seen.extend(events(vec![watching.next().await.unwrap()]));
    }
    let last = &seen[seen.len() - 1];
    assert_eq!(last["interrupt"]["id"], open[0]["id"]);
    // What needs no approval was done before.
    let before = kinds(&seen);
    assert_eq!(before[before.len() - 2], "ToolCallCompleted", "{before:?}");
    // It has no place among those that are made, but its session to itself.
    assert_eq!(
        chat(&client, None, "Hello").await["run"]["status"],
        "COMPLETED"
    );
    let error = client
        .error(
            crate::support::talk::SEND,
            &crate::support::talk::input(Some(&session), "And?"),
        )
        .await;
    assert_eq!(error["extensions"]["code"], "CONFLICT");

    server.upstream.then(Script::tokens(["It is 42."]));
    let resolved = resolve(&client, &id, json!([approve(&open[0])])).await;
    assert_eq!(
        resolved["run"],
        json!({ "id": id, "status": "RUNNING", "interrupts": [] })
    );
    assert_eq!(resolved["interrupts"][0]["resolution"]["kind"], "APPROVED");

    // Nothing was missed in between by one who has waited all along.
    seen.extend(events(watching.rest().await));
    check_sequences(&seen);
    assert_eq!(seen, run_events(&client, &id, 0).await);
    let after = kinds(&seen[before.len()..]);
    assert_eq!(after[..2], ["InterruptResolved", "ToolCallCompleted"]);
    assert_eq!(after.last().unwrap(), "RunCompleted");
    assert_eq!(run(&client, &id).await["output"]["text"], "It is 42.");
    let told = told(&server.upstream, server.upstream.received().len() - 1);
    assert!(told.contains(&"42".to_owned()), "{told:?}");
}

/// Two calls of the calculator.
pub(crate) fn calculates_twice() -> Script {
    let script = call(
        Script::stream(),
        0,
        "calculator",
        "{\"expression\": \"6*7\"}",
    );
    called(call(script, 1, "calculator", "{\"expression\": \"1+1\"}"))
}

pub(crate) async fn two_calls_are_answered_at_once(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    assert_eq!(open.len(), 2);
    let answers = json!([approve(&open[0]), reject(&open[1], "too easy")]);
    let resolved = resolve(&client, &id, answers).await;
    assert_eq!(resolved["run"]["status"], "RUNNING");
    let kinds: Vec<_> = [0, 1]
        .map(|at| resolved["interrupts"][at]["resolution"]["kind"].clone())
        .into();
    assert_eq!(kinds, ["APPROVED", "REJECTED"]);
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let mut told = told(&server.upstream, 1);
    told.sort();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], "42");
    assert!(
        told[1].contains("rejected") && told[1].contains("too easy"),
        "{told:?}"
    );
    let parts = parts(&client, &id).await;
    let rejected = parts.as_array().unwrap().iter().find(|part| {
        part["__typename"] == "ToolResultPart" && part["toolCallId"] == open[1]["toolCallId"]
    });
    assert_eq!(rejected.unwrap()["isError"], true);
}

pub(crate) async fn answers_are_given_one_after_the_other(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    let first = resolve(&client, &id, json!([approve(&open[1])])).await;
    assert_eq!(first["run"]["status"], "AWAITING_INPUT");
    assert_eq!(first["run"]["interrupts"], json!([{ "id": open[0]["id"] }]));
    assert_eq!(server.upstream.received().len(), 1);
    let second = resolve(&client, &id, json!([approve(&open[0])])).await;
    assert_eq!(second["run"]["status"], "RUNNING");
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    let resolved: Vec<_> = log
        .iter()
        .filter(|event| event["__typename"] == "InterruptResolved")
        .map(|event| &event["interrupt"]["id"])
        .collect();
    assert_eq!(resolved, [&open[1]["id"], &open[0]["id"]]);
}

pub(crate) async fn a_person_edits_the_arguments(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    let edited = json!({ "expression": "6*8" });
    let answer = json!([{ "approve": { "interruptId": open[0]["id"], "arguments": edited } }]);
    let resolved = resolve(&client, &id, answer).await;
    assert_eq!(resolved["interrupts"][0]["resolution"]["arguments"], edited);
    ended_run(&client, &id).await;
    assert_eq!(told(&server.upstream, 1), ["48"]);
    // What was called is what is shown, to the model and to people.
    let parts = parts(&client, &id).await;
    let shown_arguments: Value =
        serde_json::from_str(parts[0]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(shown_arguments, edited);
    let call = &shown(&server.upstream, 1)[2]["tool_calls"][0]["function"]["arguments"];
    assert!(string(call).contains("6*8"), "{call}");
    let log = run_events(&client, &id, 0).await;
    let event = log
        .iter()
        .find(|event| event["__typename"] == "InterruptResolved");
    assert_eq!(
        event.unwrap()["interrupt"]["resolution"]["arguments"],
        edited
    );
}
