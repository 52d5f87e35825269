//! What runs cost, and how much they may.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api_agents::{changed, mutation, pirate};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{SEND, chat, ended_run, string};
use crate::support::upstream::{Script, chunk, finish, usage};
use crate::support::wait::eventually;

/// Prices of two models; a third has none.
const PRICES: &str = "[models.openai.prices.first]\ninput_per_million = 2.0\n\
    cached_input_per_million = 0.5\noutput_per_million = 8.0\n\
    [models.openai.prices.second]\ninput_per_million = 0.15\noutput_per_million = 0.6\n";

fn setup(models: &str) -> Setup {
    Setup::new()
        .file(PRICES)
        .set("models.default", models)
        .set("models.resilience.attempts", 1)
}

/// An answer that took so many tokens.
fn answer(input: u64, output: u64) -> Script {
    let script = Script::stream().text(["Yes."]).event(finish("stop"));
    script.event(usage(input, output)).event("[DONE]")
}

/// A call of the calculator.
fn calls(input: u64, output: u64) -> Script {
    let call = json!({ "index": 0, "id": "call_0", "type": "function",
        "function": { "name": "calculator", "arguments": "{\"expression\":\"1+1\"}" } });
    Script::stream()
        .event(chunk(&json!({ "tool_calls": [call] })))
        .event(finish("tool_calls"))
        .event(usage(input, output))
        .event("[DONE]")
}

/// What a session, its last message and that one's run have used: tokens and cost.
async fn usages(client: &Client, session: &str) -> Value {
    let document = "query($id: ID!) { session(id: $id) { usage { totalTokens cost }
        messages(last: 2) { nodes { role usage { totalTokens cost } run { usage { totalTokens cost } } } } } }";
    let data = client.data(document, &json!({ "id": session })).await;
    let nodes = &data["session"]["messages"]["nodes"];
    assert_eq!(
        nodes[0]["usage"],
        json!(null),
        "what a person says costs nothing"
    );
    let pair = |usage: &Value| json!([usage["totalTokens"], usage["cost"]]);
    json!([
        pair(&data["session"]["usage"]),
        pair(&nodes[1]["usage"]),
        pair(&nodes[1]["run"]["usage"])
    ])
}

pub(crate) async fn costs_are_told_and_stay(db: Arc<Database>) {
    let server = setup("openai/first,openai/second").on(&db).start().await;
    let client = server.client();
    server.upstream.then(answer(1_000, 100));
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    let one = json!([1_100, "0.0028"]);
    assert_eq!(usages(&client, &session).await, json!([one, one, one]));

    // The second model has its own price, and is named where it answered.
    server.upstream.then(Script::status(503));
    server.upstream.then(answer(100, 10));
    let second = chat(&client, Some(&session), "And now?").await;
    let two = json!([110, "0.000021"]);
    let all = json!([1_210, "0.002821"]);
    assert_eq!(usages(&client, &session).await, json!([all, two, two]));
    let run = string(&second["run"]["id"]);
    let document = "subscription($run: ID!) { runEvents(runId: $run) { __typename
        ... on StepStarted { model } ... on StepFinished { model usage { totalTokens cost } }
        ... on UsageUpdated { usage { totalTokens cost } } } }";
    let events = client
        .events(document, &json!({ "run": run }))
        .await
        .rest()
        .await;
    let of = |kind: &str| {
        let mut events = events.iter().map(|event| &event["data"]["runEvents"]);
        events.find(|event| event["__typename"] == kind).unwrap()
    };
    let used = json!({ "totalTokens": 110, "cost": "0.000021" });
    assert_eq!(of("StepStarted")["model"], "openai/first");
    assert_eq!(of("StepFinished")["model"], "openai/second");
    assert_eq!(
        (&of("StepFinished")["usage"], &of("UsageUpdated")["usage"]),
        (&used, &used)
    );
    server.stop().await;

    // Later prices change nothing, and neither does it that the log is compacted.
    let dearer = Setup::new()
        .file(&PRICES.replace("= 0", "= 70").replace("= 2", "= 90"))
        .set("models.default", "openai/first")
        .set("runs.log_retention_s", 1)
        .set("runs.lease_s", 1);
    let server = dearer.on(&db).start().await;
    let client = server.client();
    let compacted = "query($id: ID!) { run(id: $id) { logCompacted } }";
    eventually("the log to be compacted", async || {
        let data = client.data(compacted, &json!({ "id": run })).await;
        (data["run"]["logCompacted"] == true).then_some(())
    })
    .await;
    assert_eq!(usages(&client, &session).await, json!([all, two, two]));
}

#[tokio::test]
async fn what_is_not_known_is_not_guessed() {
    let server = setup("openai/third").start().await;
    let client = server.client();
    server.upstream.then(answer(10, 1));
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    let unknown = json!([11, null]);
    assert_eq!(
        usages(&client, &session).await,
        json!([unknown, unknown, unknown])
    );
    let document = "mutation { createSession { session { usage { totalTokens cost } } } }";
    let data = client.data(document, &json!({})).await;
    let nothing = json!({ "totalTokens": 0, "cost": "0" });
    assert_eq!(data["createSession"]["session"]["usage"], nothing);
    // A provider that tells no usage.
    let server = setup("openai/first").start().await;
    let script = Script::stream()
        .text(["Yes."])
        .event(finish("stop"))
        .event("[DONE]");
    server.upstream.then(script);
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let unknown = json!([0, null]);
    let told = usages(&client, &string(&first["session"]["id"])).await;
    assert_eq!(told, json!([unknown, unknown, unknown]));
}

#[tokio::test]
async fn a_run_costs_no_more_than_its_agent_allows() {
    let server = setup("openai/first").start().await;
    let client = server.client();
    let mut agent = pirate();
    agent["models"] = json!([]);
    agent["limits"] = json!({ "maxCostUsd": 0.01 });
    changed(&client, "createAgent", agent.clone()).await;
    let input = json!({ "input": { "agent": "pirate", "message": { "text": "Count" } } });
    let run = async || {
        let data = client.data(SEND, &input).await;
        ended_run(&client, &string(&data["sendMessage"]["run"]["id"])).await
    };
    // 0.006 and as much again: the third step does not begin, and nothing more is called.
    for script in [calls(1_000, 500), calls(1_000, 500), answer(1, 1)] {
        server.upstream.then(script);
    }
    let ended = run().await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    assert_eq!(ended["error"]["code"], "COST_LIMIT");
    let message = string(&ended["error"]["message"]);
    assert!(message.contains("has cost 0.012 USD"), "{message}");
    assert_eq!(server.upstream.received().len(), 2);
    // The answer that was left over is dear enough by itself, but is one.
    let ended = run().await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");

    for (limits, models) in [
        (json!({ "maxCostUsd": 0 }), json!([])),
        (json!({ "maxCostUsd": -1 }), json!([])),
        (
            json!({ "maxCostUsd": 1 }),
            json!(["openai/first", "openai/third"]),
        ),
    ] {
        (agent["name"], agent["limits"], agent["models"]) = (json!("other"), limits, models);
        let error = client
            .error(&mutation("createAgent"), &json!({ "input": agent }))
            .await;
        let extensions = json!({ "code": "BAD_USER_INPUT", "field": "input.limits.maxCostUsd" });
        assert_eq!(error["extensions"], extensions, "{error}");
    }
}
