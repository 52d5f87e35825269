//! Agents with several models, and providers that are given a second chance.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::process::{Process, program, run};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, run_events, string};
use crate::support::upstream::{Script, Upstream};

/// A server whose agents have two models of one provider.
async fn server() -> TestServer {
    Setup::new()
        .set("models.default", "openai/first,openai/second")
        .set("models.resilience.attempts", 1)
        .start()
        .await
}

/// The models that the provider was asked for, in order.
fn asked(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received();
    received
        .iter()
        .map(|one| string(&one.body["model"]))
        .collect()
}

async fn model_of(client: &Client, run: &Value) -> String {
    let document = "query($id: ID!) { run(id: $id) { model } }";
    let data = client.data(document, &json!({ "id": run["id"] })).await;
    string(&data["run"]["model"])
}

#[tokio::test]
async fn the_second_model_answers_when_the_first_does_not() {
    let server = server().await;
    let client = server.client();
    let agents = client
        .data("{ agents { nodes { model models } } }", &json!({}))
        .await;
    let models = ["openai/first", "openai/second"];
    assert_eq!(
        agents["agents"]["nodes"][0],
        json!({ "model": models[0], "models": models })
    );

    server.upstream.then(Script::status(503));
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    assert_eq!(answer["message"]["text"], "echo 2: Hello");
    assert_eq!(asked(&server.upstream), ["first", "second"]);
    assert_eq!(model_of(&client, &answer["run"]).await, "openai/second");

    let session = string(&answer["session"]["id"]);
    let answer = chat(&client, Some(&session), "And now?").await;
    assert_eq!(model_of(&client, &answer["run"]).await, "openai/first");
}

#[tokio::test]
async fn what_has_been_told_is_never_continued_by_another() {
    let server = server().await;
    let client = server.client();
    let script = Script::stream().text(["Well", ", "]);
    server.upstream.then(script.cut());
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["error"]["code"], "PROVIDER_PROTOCOL");
    assert_eq!(answer["message"]["text"], "Well, ");
    let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
    let deltas = log.iter().filter_map(|event| event["delta"].as_str());
    assert_eq!(deltas.collect::<String>(), "Well, ");
    assert_eq!(asked(&server.upstream), ["first"]);
}

/// What Ollama says of a model that cannot be told of tools.
fn without_tools() -> Script {
    let message = "registry.ollama.ai/library/gemma3:4b does not support tools";
    let error = json!({ "message": message, "type": "api_error", "param": null, "code": null });
    Script::json(400, &json!({ "error": error }))
}

#[tokio::test]
async fn a_model_that_takes_no_tools_is_told_apart() {
    let server = server().await;
    let client = server.client();
    server.upstream.then(without_tools());
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    assert_eq!(model_of(&client, &answer["run"]).await, "openai/second");

    server.upstream.then(without_tools());
    server.upstream.then(without_tools());
    let answer = chat(&client, None, "Hello").await;
    let error = &answer["run"]["error"];
    assert_eq!(error["code"], "TOOLS_UNSUPPORTED", "{answer}");
    assert_eq!(error["retryable"], false);
    assert_eq!(
        error["message"],
        "the model \"openai/second\" does not support tools: remove them from the agent, or give \
         it another model"
    );
    assert_eq!(server.upstream.received().len(), 4);
}

#[tokio::test]
async fn a_refused_request_is_not_sent_elsewhere() {
    let server = server().await;
    server.upstream.then(Script::status(400));
    let answer = chat(&server.client(), None, "Hello").await;
    assert_eq!(answer["run"]["error"]["code"], "PROVIDER_REJECTED");
    assert_eq!(asked(&server.upstream), ["first"]);
}

#[tokio::test]
async fn a_failed_call_is_repeated_and_nobody_notices() {
    let server = Setup::new()
        .set("models.resilience.backoff_ms", 1)
        .start()
        .await;
    let client = server.client();
    server.upstream.then(Script::status(502));
    server.upstream.then(Script::hang_up());
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["message"]["text"], "echo 2: Hello", "{answer}");
    assert_eq!(server.upstream.received().len(), 3);
    let log = run_events(&client, &string(&answer["run"]["id"]), 0).await;
    let kinds: Vec<_> = log
        .iter()
        .map(|event| string(&event["__typename"]))
        .collect();
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "StepStarted").count(),
        1
    );
}

#[tokio::test]
async fn several_keys_take_turns_at_a_rate_limit() {
    let server = Setup::new()
        .set("models.openai.api_key", "sk-one")
        .set("models.openai.api_keys", "sk-two,sk-one")
        .start()
        .await;
    let limited = Script::status(429).header("retry-after", "3600");
    server.upstream.then(limited);
    for _ in 0..2 {
        let answer = chat(&server.client(), None, "Hello").await;
        assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    }
    let received = server.upstream.received();
    let keys: Vec<_> = received
        .iter()
        .map(|one| one.header("authorization").unwrap())
        .collect();
    assert_eq!(keys, ["Bearer sk-one", "Bearer sk-two", "Bearer sk-two"]);
}

#[tokio::test]
async fn an_agent_file_may_list_models_and_all_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let agents = folder.path().join("agents");
    std::fs::create_dir(&agents).unwrap();
    let write = |models: &str| {
        let text = format!(
            "name = \"research\"\ndescription = \"d\"\ninstructions = \"i\"\nmodel = {models}\n"
        );
        std::fs::write(agents.join("research.toml"), text).unwrap();
    };
    let upstream = Upstream::start().await;
    let (folder, base_url) = (folder.path(), upstream.base_url());
    let setting = agents.display().to_string();
    let mut settings = vec![
        ("agents.folder", setting.as_str()),
        ("models.openai.base_url", base_url.as_str()),
        ("models.resilience.attempts", "1"),
    ];

    write("[\"openai/first\", \"openai/second\"]");
    upstream.then(Script::status(500));
    let server = Process::serve(program(folder, &[], &settings)).await;
    let answer = chat(&server.client(), None, "Hello").await;
    let model = model_of(&server.client(), &answer["run"]).await;
    assert_eq!(model, "openai/second");
    let version = "{ agent(name: \"research\") { currentVersion { number } } }";
    let number = async |server: &Process| {
        let data = server.client().data(version, &json!({})).await;
        data["agent"]["currentVersion"]["number"].clone()
    };
    assert_eq!(number(&server).await, 1);
    drop(server);
    // The same again is no new version, and a list of one is the same as the one.
    for (models, expected) in [
        ("[\"openai/first\", \"openai/second\"]", 1),
        ("[\"openai/first\"]", 2),
        ("\"openai/first\"", 2),
    ] {
        write(models);
        let server = Process::serve(program(folder, &[], &settings)).await;
        assert_eq!(number(&server).await, expected, "{models}");
    }

    write("[\"openai/first\", \"acme/second\"]");
    let refused = run(program(folder, &[], &settings)).await;
    assert_eq!(refused.code, 1);
    for word in ["research.toml", "model", "acme/second"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    write("\"openai/first\"");
    settings.push(("models.default", "openai/first,acme/second"));
    let refused = run(program(folder, &[], &settings)).await;
    assert_eq!(refused.code, 1);
    for word in ["models.default", "acme/second"] {
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_takes_no_memory() {
    const PIECE: usize = 64 * 1024;
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let base_url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", base_url.as_str()),
        ("models.resilience.attempts", "1"),
    ];
    let server = Process::serve(program(folder.path(), &[], &settings)).await;
    let client = server.client();
    let answer = chat(&client, None, "Hello").await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    let before = server.peak_memory();

    let said = || Script::stream().text(["Well"]);
    let flood = |script: Script| script.flood([b'x'; PIECE], 100 * 1024 * 1024 / PIECE);
    for (script, text) in [
        (flood(said().bytes("data: ")), json!("Well")),
        (flood(said().bytes(": ")), json!("Well")),
        (
            flood(Script::json(200, &json!("")).bytes("{\"choices\":\"")),
            Value::Null,
        ),
    ] {
        upstream.then(script);
        let answer = chat(&client, None, "Hello").await;
        let error = &answer["run"]["error"];
        assert_eq!(error["code"], "PROVIDER_PROTOCOL", "{answer}");
        assert_eq!(answer["message"]["text"], text);
    }
    let grown = server.peak_memory() - before;
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes");
    let said = "a part of it is too large";
    assert!(server.log().contains(said), "{}", server.log());
}
