//! llama.cpp's own server, with the model that the server embeds.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::part::{Part, installed, python};
use crate::support::client::Client;
use crate::support::server::{Setup, repository};
use crate::support::talk::{SEND, kinds, run_events, string};
use crate::support::upstream::Upstream;

const MODEL: &str = "models/smollm2-135m-instruct-q4_1.gguf";

#[tokio::test]
async fn llama_cpp_is_a_provider() {
    let mut command = Command::new(python("python"));
    command
        .arg(repository("tests/parts/llamacpp.py"))
        .arg(installed(MODEL));
    let mut part = Part::start(command);
    let address = part.says("listening http").await;
    let server = Setup::new()
        .set("models.default", "local/smollm2")
        .set("models.providers.local.kind", "openai")
        .set(
            "models.providers.local.base_url",
            format!("http{address}/v1"),
        )
        .set("runs.max_output_tokens", 24)
        .set("models.providers.local.first_token_timeout_ms", 180_000)
        .set("runs.output_repairs", 0)
        .start_with(Upstream::start().await, "http://127.0.0.1:9/v1")
        .await;
    let client = server.client();
    let document = "mutation($input: CreateAgentInput!) { createAgent(input: $input) {
        agent { name } } }";
    let agent = json!({ "input": { "name": "brief", "description": "Answers.",
        "instructions": "Answer in one word." } });
    client.data(document, &agent).await;

    let hello = json!({ "input": { "agent": "brief", "message": { "text": "Say hello." } } });
    let said = ask(&client, &hello).await;
    assert!(said["usage"]["inputTokens"].as_u64() > Some(0), "{said}");
    assert!(said["usage"]["outputTokens"].as_u64() > Some(0), "{said}");
    let log = run_events(&client, &string(&said["id"]), 0).await;
    assert!(kinds(&log).contains(&"TextDelta".to_owned()), "{log:?}");
    // A second turn, and an answer in a form, to which llama.cpp holds any model.
    let again = json!({ "input": { "sessionId": said["session"]["id"],
        "message": { "text": "And now?" } } });
    ask(&client, &again).await;
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer", "maximum": 9,
        "minimum": 0 } }, "required": ["n"], "additionalProperties": false });
    let form = json!({ "input": { "agent": "brief", "outputSchema": schema,
        "message": { "text": "A number from 0 to 9." } } });
    let formed = ask(&client, &form).await;
    assert!(formed["output"]["data"]["n"].is_u64(), "{formed}");
}

/// Starts a run and waits for its end; a busy machine takes a while for a few words.
async fn ask(client: &Client, input: &Value) -> Value {
    let data = client.data(SEND, input).await;
    let id = json!({ "id": data["sendMessage"]["run"]["id"] });
    let document = "query($id: ID!) { run(id: $id) { id status session { id }
        error { code message } usage { inputTokens outputTokens } output { text data } } }";
    for _ in 0..1_800 {
        let mut data = client.data(document, &id).await;
        let run = data["run"].take();
        if run["status"] != "QUEUED" && run["status"] != "RUNNING" {
            assert_eq!(run["status"], "COMPLETED", "{run}");
            return run;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited minutes for {id}");
}
