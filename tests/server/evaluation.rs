//! Schemas, templates and expressions that are meant to hurt: each is refused or done, in bounded
//! time, and nothing else notices.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call, called};
use crate::api_agents::{mutation, pirate};
use crate::support::client::Client;
use crate::support::process::{Process, program};
use crate::support::server::{Setup, TestServer, key_setting};
use crate::support::talk::{chat, ended_run, input, string};
use crate::support::upstream::{Script, Upstream, chunk};
use crate::support::wait::soon;
use crate::tools::{CALL, call as call_tool, refused};

/// As short as a machine that runs many tests at once allows.
const JOB_TIMEOUT_MS: u64 = 700;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    run { id status error { code message retryable } } message { data } } }";

const SEND: &str = "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }";

/// The schema of 3 KB whose validation doubles with each of its 45 levels.
pub(crate) fn doubling_schema() -> Value {
    let mut defs = json!({ "a45": { "type": "integer" } });
    for level in 0..45 {
        let next = json!({ "$ref": format!("#/$defs/a{}", level + 1) });
        let both = json!({ "anyOf": [next, { "allOf": [next] }] });
        defs[format!("a{level}")] = both;
    }
    json!({
        "type": "object", "$defs": defs,
        "properties": { "a": { "allOf": [{ "$ref": "#/$defs/a0" }] } },
    })
}

fn setup() -> Setup {
    Setup::new().set("evaluation.job_timeout_ms", JOB_TIMEOUT_MS)
}

/// The server lives, and another chat has its answer meanwhile.
async fn lives(server: &TestServer) {
    let live = server
        .client()
        .request(reqwest::Method::GET, "/health/live");
    let live = soon("the answer of /health/live", live.send()).await;
    assert_eq!(live.unwrap().status(), 200);
    let answer = soon("another chat", chat(&server.client(), None, "Hello")).await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
}

#[tokio::test]
async fn costly_output_schema_fails_its_run_alone() {
    let server = setup().start().await;
    let client = server.client();
    server.upstream.then(Script::tokens(["{\"a\":\"x\"}"]));
    let mut asked = input(None, "The capital of France?");
    asked["input"]["outputSchema"] = doubling_schema();
    let run = client.data(SEND, &asked).await["sendMessage"]["run"]["id"].take();
    server.upstream.wait_received(1).await;
    lives(&server).await;
    let run = soon("the run's end", ended_run(&client, &string(&run))).await;
    assert_eq!(run["status"], "FAILED", "{run}");
    assert_eq!(run["error"]["code"], "OUTPUT_INVALID", "{run}");
    // It is not asked for again.
    assert_eq!(server.upstream.received().len(), 2);
    lives(&server).await;
}

#[tokio::test]
async fn costly_schema_of_a_client_tool_is_the_models_mistake() {
    let server = setup().start().await;
    let client = server.client();
    server
        .upstream
        .then(called(call(Script::stream(), 0, "hurt", "{\"a\":\"x\"}")));
    server.upstream.then(Script::tokens(["I could not."]));
    let mut asked = input(None, "Do it");
    asked["input"]["clientTools"] = json!([{
        "name": "hurt", "description": "Hurts.", "parameters": doubling_schema(),
    }]);
    let answer = soon("the answer", client.data(CHAT, &asked)).await;
    assert_eq!(answer["chat"]["run"]["status"], "COMPLETED", "{answer}");
    let told = server.upstream.received()[1].body["messages"].to_string();
    assert!(told.contains("too costly"), "{told}");
    lives(&server).await;
}

#[tokio::test]
async fn costly_schema_of_a_tool_server_is_an_error_of_its_calls() {
    let script = crate::support::server::repository("tests/mcp/costly.mjs");
    let settings =
        format!("[[tools.mcp]]\nname = \"evil\"\ncommand = \"node\"\nargs = [\"{script}\"]\n");
    let server = setup().file(&settings).start().await;
    let client = server.client();
    let input = json!({ "input": { "name": "evil__hurt", "arguments": { "a": "x" } } });
    let error = soon("an answer", client.error(CALL, &input)).await;
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
    assert!(error.to_string().contains("too costly"), "{error}");
    let called = call_tool(&client, "evil__hurt", json!({})).await;
    assert_eq!(called["output"]["text"], "called");
    lives(&server).await;
}

/// Instructions that abort or freeze a process that renders them on a thread of its own.
fn hostile_instructions() -> Vec<String> {
    let doubled = |name: &str| {
        let again = format!("{{% set {name}=[{name},{name}] %}}").repeat(60);
        format!("{{% set {name}=[1] %}}{again}")
    };
    vec![
        format!("{{{{ {}1 }}}}", "-".repeat(6_651)),
        format!("{{{{ {}1 }}}}", "-".repeat(200_000)),
        format!("{{{{ {}true }}}}", "not ".repeat(50_000)),
        format!("{{{{ 1{} }}}}", "|abs".repeat(50_000)),
        format!("{{{{ 'a'{} }}}}", "~'a'".repeat(50_000)),
        format!("{{{{ date{} }}}}", ".a".repeat(50_000)),
        format!("{{{{ {}{} }}}}", "(".repeat(50_000), ")".repeat(50_000)),
        format!("{}{}{{{{ a==b }}}}", doubled("a"), doubled("b")),
        format!(
            "{{% set a='x'*9999 %}}{}{{{{ a|length }}}}",
            "{% set a=a~a %}".repeat(40)
        ),
        format!("{{{{ date }}}}{}", "{% if true %}".repeat(15_000)),
    ]
}

#[tokio::test]
async fn costly_instructions_are_refused_with_their_field() {
    let server = setup().start().await;
    let client = server.client();
    for (at, instructions) in hostile_instructions().into_iter().enumerate() {
        let mut agent = pirate();
        agent["name"] = json!(format!("pirate-{at}"));
        agent["instructions"] = json!(instructions);
        let asked = json!({ "input": agent });
        let create = mutation("createAgent");
        let answer = soon("an answer", client.response(&create, &asked)).await;
        if let Some(error) = answer["errors"].get(0) {
            assert_eq!(
                error["extensions"]["code"], "BAD_USER_INPUT",
                "{at}: {error}"
            );
            assert_eq!(
                error["extensions"]["field"], "input.instructions",
                "{at}: {error}"
            );
        } else {
            // A worker's stack is deep enough for some; so it is when a run renders them.
            let mut asked = input(None, "Hello");
            asked["input"]["agent"] = agent["name"].take();
            let answer = soon("an answer", client.data(CHAT, &asked)).await;
            assert_eq!(
                answer["chat"]["run"]["status"], "COMPLETED",
                "{at}: {answer}"
            );
        }
        lives(&server).await;
    }
}

/// As they were found: by a process of its own, which a stack overflow would end.
#[tokio::test]
async fn hostile_input_does_not_end_the_process() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let settings = [
        ("models.openai.base_url", &*upstream.base_url()),
        ("models.openai.api_key", "sk-x"),
    ];
    let server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    let client = server.client();
    let mut agent = pirate();
    agent["tools"] = json!([]);
    for (at, instructions) in hostile_instructions().into_iter().enumerate().take(2) {
        agent["name"] = json!(format!("pirate-{at}"));
        agent["instructions"] = json!(instructions);
        let asked = json!({ "input": agent });
        let create = mutation("createAgent");
        soon("an answer", client.response(&create, &asked)).await;
    }
    upstream.then(Script::tokens(["{\"a\":\"x\"}"]));
    let mut asked = input(None, "The capital of France?");
    asked["input"]["outputSchema"] = doubling_schema();
    let answer = soon("an answer", client.data(CHAT, &asked)).await;
    assert_eq!(
        answer["chat"]["run"]["error"]["code"], "OUTPUT_INVALID",
        "{answer}"
    );
    let answer = soon("another chat", chat(&client, None, "Hello")).await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
}

#[tokio::test]
async fn templates_and_expressions_of_settings_are_evaluated_by_workers() {
    let wrong = "[tools.approval]\ncalculator = \"args.a ~ unknown\"\n";
    let why = refused(wrong).await;
    assert!(why.contains("\"unknown\" is not args"), "{why}");
    let deep = "(".repeat(1_000_000);
    let costly = format!("[tools.approval]\ncalculator = \"{deep}args.a\"\n");
    let why = refused(&costly).await;
    assert!(why.contains("tools.approval: of calculator"), "{why}");
}

/// A model's answer is the fault of the model or its caller: 65 calls at once, and a name of 300
/// bytes.
#[tokio::test]
async fn unusable_answers_of_one_tenant_close_no_model_to_others() {
    let keys = key_setting("key-a", "a", "ann") + &key_setting("key-b", "b", "bob");
    let server = Setup::new().file(&keys).start().await;
    let (ann, bob) = (server.client_with("key-a"), server.client_with("key-b"));
    let many = || {
        let script = Script::stream().text(["Well: "]);
        called((0..65).fold(script, |script, at| call(script, at, "current_time", "{}")))
    };
    let long = || called(call(Script::stream(), 0, &"x".repeat(300), "{}"));
    for round in 0..6 {
        let script = if round % 2 == 0 { many() } else { long() };
        server.upstream.then(script);
        assert_eq!(failed_with(&ann).await, "TOOL_ARGUMENTS");
    }
    let answer = chat(&bob, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    // Nor does what makes a provider stumble, as long as it does so for one tenant alone.
    for _ in 0..5 {
        let begun = chunk(&json!({ "content": "one " }));
        server.upstream.then(Script::stream().event(begun).cut());
        failed_with(&ann).await;
    }
    assert_eq!(failed_with(&ann).await, "PROVIDER_UNAVAILABLE");
    let answer = chat(&bob, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
}

async fn failed_with(client: &Client) -> String {
    let answer = client.data(CHAT, &input(None, "Do it")).await;
    assert_eq!(answer["chat"]["run"]["status"], "FAILED", "{answer}");
    string(&answer["chat"]["run"]["error"]["code"])
}
