//! Calls that a person has to approve.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use talkgraph::app::Ended;
use tempfile::TempDir;

use crate::agent_tools::{PARTS, agents, calculates, call, called, setup, shown};
use crate::shutdown::process;
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    all, chat, check_sequences, ended_run, events, follow, run, run_events, send, string,
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

fn reject(interrupt: &Value, reason: &str) -> Value {
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

fn kinds(log: &[Value]) -> Vec<String> {
    log.iter()
        .map(|event| string(&event["__typename"]))
        .collect()
}

async fn parts(client: &Client, id: &str) -> Value {
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

pub(crate) async fn an_approval_outlasts_a_restart(db: Arc<Database>) {
    let folder = agents("");
    let first = careful(&folder).on(&db).start().await;
    first.upstream.then(calculates("{\"expression\": \"6*7\"}"));
    let (_, id) = send(&first.client(), None, "6*7?").await;
    let open = waits(&first.client(), &id).await;
    // Nobody makes it, so that nobody has to wait for it.
    assert_eq!(first.stop().await, Ended::Drained);

    let second = careful(&folder).on(&db).start().await;
    let client = second.client();
    let watching = follow(&client, &id, 0).await;
    assert_eq!(waits(&client, &id).await, open);
    second.upstream.then(Script::tokens(["It is 42."]));
    resolve(&client, &id, json!([approve(&open[0])])).await;
    let log = events(watching.rest().await);
    check_sequences(&log);
    assert_eq!(kinds(&log).last().unwrap(), "RunCompleted");
    assert_eq!(told(&second.upstream, 0), ["42"]);
    let parts = parts(&client, &id).await;
    assert_eq!(
        all(parts.as_array().unwrap(), "__typename"),
        ["ToolCallPart", "ToolResultPart", "TextPart"]
    );
}

/// Two calls of the calculator.
fn calculates_twice() -> Script {
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

pub(crate) async fn wrong_answers_are_refused_and_nothing_is_lost(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    let wrong =
        json!({ "approve": { "interruptId": open[1]["id"], "arguments": { "expresion": 1 } } });
    let result = json!({ "result": { "interruptId": open[1]["id"], "text": "2" } });
    let both = json!({ "result": { "interruptId": open[1]["id"], "text": "2", "json": 2 } });
    let no_one = json!({ "approve": { "interruptId": "int_01h455vb4pex5vsknk084sn02q" } });
    for (second, expected) in [
        (
            wrong,
            "BAD_USER_INPUT input.resolutions.1.approve.arguments",
        ),
        (result, "BAD_USER_INPUT input.resolutions.1.result"),
        (both, "BAD_USER_INPUT input.resolutions.1.result"),
        (no_one, "NOT_FOUND input.resolutions.1.approve.interruptId"),
        (
            reject(&open[0], ""),
            "BAD_USER_INPUT input.resolutions.1.reject.interruptId",
        ),
        (
            reject(&open[1], "\0"),
            "BAD_USER_INPUT input.resolutions.1.reject.reason",
        ),
    ] {
        let answers = json!([approve(&open[0]), second]);
        assert_eq!(refusal(&client, &id, answers).await, expected);
    }
    assert_eq!(
        refusal(&client, &id, json!([])).await,
        "BAD_USER_INPUT input.resolutions"
    );
    assert_eq!(waits(&client, &id).await, open, "all or nothing");
    let answers = json!([approve(&open[0]), approve(&open[1])]);
    resolve(&client, &id, answers).await;
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
}

pub(crate) async fn what_nobody_answers_expires(db: Arc<Database>) {
    let folder = agents("");
    let setup = careful(&folder)
        .set("runs.interrupt_expiry_s", 1)
        .set("runs.lease_s", 1);
    let server = setup.on(&db).start().await;
    let client = server.client();
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    server.upstream.then(Script::tokens(["Nobody is there."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let log = run_events(&client, &id, 0).await;
    let resolved = log
        .iter()
        .find(|event| event["__typename"] == "InterruptResolved");
    let interrupt = &resolved.unwrap()["interrupt"];
    assert_eq!(interrupt["resolution"]["kind"], "EXPIRED");
    assert_eq!(kinds(&log).last().unwrap(), "RunCompleted");
    assert!(told(&server.upstream, 1)[0].contains("expired"));
    let late = refusal(&client, &id, json!([approve(interrupt)])).await;
    assert_eq!(late, "CONFLICT input.resolutions.0.approve.interruptId");
}

pub(crate) async fn fifty_at_once_are_one_answer(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    let answers = json!([approve(&open[0]), reject(&open[1], "no")]);
    let at_once = (0..50).map(|_| resolve(&client, &id, answers.clone()));
    for resolved in join_all(at_once).await {
        assert_eq!(resolved["interrupts"][0]["resolution"]["kind"], "APPROVED");
        assert_eq!(resolved["interrupts"][1]["resolution"]["reason"], "no");
    }
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    let count = |kind: &str| kinds(&log).iter().filter(|one| *one == kind).count();
    assert_eq!(
        (count("InterruptResolved"), count("ToolCallCompleted")),
        (2, 2)
    );
    assert_eq!(server.upstream.received().len(), 2);

    // After its end, too; and under a key, which stands for these answers alone.
    let mut variables =
        json!({ "input": { "runId": id, "resolutions": answers, "idempotencyKey": "k" } });
    for _ in 0..2 {
        let again = client.data(RESOLVE, &variables).await;
        assert_eq!(again["resolveInterrupts"]["run"]["status"], "COMPLETED");
    }
    let other = json!([reject(&open[0], "no")]);
    assert_eq!(
        refusal(&client, &id, other.clone()).await,
        "CONFLICT input.resolutions.0.reject.interruptId"
    );
    variables["input"]["resolutions"] = other;
    let error = client.error(RESOLVE, &variables).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "CONFLICT", "field": "input.idempotencyKey" })
    );
}

pub(crate) async fn an_inbox_is_kept_live(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    let document = format!("subscription {{ interruptsChanged {{ {INTERRUPT} }} }}");
    let mut changes = client.events(&document, &json!({})).await;
    // A round trip later the subscription is there.
    let mut runs = Vec::new();
    for _ in 0..3 {
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (_, id) = send(&client, None, "Calculate").await;
        waits(&client, &id).await;
        runs.push(id);
    }
    let inbox = "query($first: Int, $after: String) { interrupts(first: $first, after: $after) {
        pageInfo { hasNextPage endCursor } nodes { id run { id } } } }";
    let page = client.data(inbox, &json!({ "first": 2 })).await;
    let page = &page["interrupts"];
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let of = |page: &Value| -> Vec<String> {
        let nodes = page["nodes"].as_array().unwrap();
        nodes
            .iter()
            .map(|node| string(&node["run"]["id"]))
            .collect()
    };
    assert_eq!(of(page), runs[..2]);
    let rest = client
        .data(
            inbox,
            &json!({ "first": 2, "after": page["pageInfo"]["endCursor"] }),
        )
        .await;
    assert_eq!(of(&rest["interrupts"]), runs[2..]);

    let mut next = async || {
        let mut response = changes.next().await.unwrap();
        response["data"]["interruptsChanged"].take()
    };
    for id in &runs {
        let change = next().await;
        assert_eq!(
            (&change["run"]["id"], &change["resolution"]),
            (&json!(id), &Value::Null)
        );
    }
    let first = &page["nodes"][0];
    resolve(&client, &runs[0], json!([approve(first)])).await;
    let change = next().await;
    assert_eq!(change["id"], first["id"]);
    assert_eq!(change["resolution"]["kind"], "APPROVED");
    let left = client.data(inbox, &json!({})).await;
    assert_eq!(of(&left["interrupts"]), runs[1..]);
    // By its id it stays to be read.
    let node =
        format!("query($id: ID!) {{ node(id: $id) {{ ... on ToolApproval {{ {INTERRUPT} }} }} }}");
    let data = client.data(&node, &json!({ "id": first["id"] })).await;
    assert_eq!(data["node"]["resolution"]["kind"], "APPROVED");
}

/// Whoever has waited on one server sees what is answered on another.
pub(crate) async fn the_next_server_goes_on(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let other = careful(&folder).on(&db).start().await;
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    let (_, id) = send(&server.client(), None, "Calculate").await;
    let open = waits(&server.client(), &id).await;
    let watching = follow(&server.client(), &id, 0).await;
    other.upstream.then(Script::tokens(["It is 42."]));
    resolve(&other.client(), &id, json!([approve(&open[0])])).await;
    let log = events(watching.rest().await);
    check_sequences(&log);
    assert_eq!(kinds(&log).last().unwrap(), "RunCompleted");
    assert_eq!(other.upstream.received().len(), 1);
    assert_eq!(server.upstream.received().len(), 1);
}

pub(crate) async fn nobody_answers_for_others(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder)
        .key("key-of-alice", "acme", "alice")
        .key("key-of-carol", "acme", "carol")
        .on(&db)
        .start()
        .await;
    let (alice, carol) = (
        server.client_with("key-of-alice"),
        server.client_with("key-of-carol"),
    );
    let mut open = Vec::new();
    for client in [&alice, &carol] {
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (_, id) = send(client, None, "Calculate").await;
        open.push((id.clone(), waits(client, &id).await));
    }
    let (alices, carols) = (&open[0], &open[1]);
    let answer = |of: &(String, Vec<Value>)| json!([approve(&of.1[0])]);
    assert_eq!(
        refusal(&carol, &alices.0, answer(alices)).await,
        "NOT_FOUND input.runId"
    );
    // Somebody else's interrupt in a run of one's own.
    assert_eq!(
        refusal(&carol, &carols.0, answer(alices)).await,
        "NOT_FOUND input.resolutions.0.approve.interruptId"
    );
    let document = "query($id: ID!) { node(id: $id) { id } interrupts { nodes { id } } }";
    let seen = carol
        .data(document, &json!({ "id": alices.1[0]["id"] }))
        .await;
    assert_eq!(seen["node"], Value::Null);
    assert_eq!(
        seen["interrupts"]["nodes"],
        json!([{ "id": carols.1[0]["id"] }])
    );
    assert_eq!(waits(&alice, &alices.0).await, alices.1);
}

/// Killed while it waits: the next server has all that it takes.
#[tokio::test]
async fn a_waiting_run_outlasts_a_kill() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let folder = agents("");
    let path = folder.path().display().to_string();
    std::fs::write(
        home.path().join("talkgraph.toml"),
        "[tools.approval]\ncalculator = \"always\"\n",
    )
    .unwrap();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
    ];
    let mut killed = process(&home, &upstream, &settings).await;
    upstream.then(calculates_twice());
    let (_, id) = send(&killed.client(), None, "Calculate").await;
    let open = waits(&killed.client(), &id).await;
    resolve(&killed.client(), &id, json!([approve(&open[0])])).await;
    let before = run(&killed.client(), &id).await;
    killed.kill();
    killed.exit_code().await;

    let next = process(&home, &upstream, &settings).await;
    let client = next.client();
    assert_eq!(run(&client, &id).await, before, "nobody takes it up");
    upstream.then(Script::tokens(["Done."]));
    resolve(&client, &id, json!([approve(&open[1])])).await;
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let mut told = told(&upstream, 1);
    told.sort();
    assert_eq!(told, ["2", "42"]);
    check_sequences(&run_events(&client, &id, 0).await);
}

/// A server that dies while an approved call is under way: the call may have taken effect.
#[tokio::test]
async fn an_approved_call_is_not_made_twice() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let (bank, folder) = (Upstream::start().await, TempDir::new().unwrap());
    let agent =
        "name = \"handy\"\ndescription = \"d\"\ninstructions = \"i\"\ntools = [\"refund\"]\n";
    std::fs::write(folder.path().join("handy.toml"), agent).unwrap();
    let tool = format!(
        "[[tools.http]]\nname = \"refund\"\ndescription = \"Pays back.\"\nmethod = \"POST\"\n\
         url = \"{}\"\nbody = '{{}}'\nparameters = '{{\"type\": \"object\"}}'\n\
         [tools.approval]\nrefund = \"always\"\n",
        bank.base_url()
    );
    std::fs::write(home.path().join("talkgraph.toml"), tool).unwrap();
    let path = folder.path().display().to_string();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
    ];
    let mut killed = process(&home, &upstream, &settings).await;
    bank.then(Script::silence());
    upstream.then(called(call(Script::stream(), 0, "refund", "{}")));
    let (_, id) = send(&killed.client(), None, "Pay back").await;
    let open = waits(&killed.client(), &id).await;
    resolve(&killed.client(), &id, json!([approve(&open[0])])).await;
    bank.wait_received(1).await;
    killed.kill();
    killed.exit_code().await;

    upstream.then(Script::tokens(["I do not know."]));
    let next = process(&home, &upstream, &settings).await;
    assert_eq!(ended_run(&next.client(), &id).await["status"], "COMPLETED");
    assert!(told(&upstream, 1)[0].contains("not known"));
    assert_eq!(bank.received().len(), 1);
}

/// What would be one question too many is told to the model.
#[tokio::test]
async fn a_run_asks_only_so_often() {
    let folder = agents("");
    let server = careful(&folder).set("runs.interrupts", 1).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    assert_eq!(open.len(), 1);
    resolve(&client, &id, json!([approve(&open[0])])).await;
    ended_run(&client, &id).await;
    let told = told(&server.upstream, 1);
    assert!(
        told.iter().any(|text| text.contains("too often")),
        "{told:?}"
    );
}
