//! Answers of a form by the model that runs in the process. Its weights must be there: run
//! `scripts/fetch-model`.
#![cfg(feature = "embedded-model")]

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::server::{Setup, repository};
use crate::support::talk::{run_events, string};

/// A small model in a debug build takes its time where many tests run at once.
const PATIENCE: Duration = Duration::from_secs(240);

const SENT: &str = "mutation($input: ChatInput!) { sendMessage(input: $input) {
    run { id } } }";
const ENDED: &str = "query($id: ID!) { run(id: $id) { status error { code message }
    output { text data } } }";

/// The run of a question, once it has ended.
async fn ended(client: &Client, input: Value) -> (String, Value) {
    let sent = client.data(SENT, &json!({ "input": input })).await;
    let id = string(&sent["sendMessage"]["run"]["id"]);
    let poll = async {
        loop {
            let run = client.data(ENDED, &json!({ "id": id })).await["run"].take();
            if run["status"] != "QUEUED" && run["status"] != "RUNNING" {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let run = tokio::time::timeout(PATIENCE, poll).await.unwrap();
    (id, run)
}

#[tokio::test]
async fn the_embedded_model_answers_in_the_form_at_the_first_try() {
    let folder = TempDir::new().unwrap();
    let agent = "name = \"small\"\ndescription = \"d\"\ninstructions = \"Be brief.\"\n\
        model = \"embedded/smollm2-135m\"\n";
    std::fs::write(folder.path().join("small.toml"), agent).unwrap();
    let server = Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "small")
        .set(
            "models.embedded.path",
            repository("models/smollm2-135m-instruct-q4_1.gguf"),
        )
        .start()
        .await;
    let client = server.client();
    let person = json!({
        "type": "object", "required": ["thoughts", "name", "age"],
        "properties": {
            "thoughts": { "type": "string", "maxLength": 60 },
            "name": { "type": "string", "maxLength": 20 },
            "age": { "type": "integer", "minimum": 1, "maximum": 120 },
            "mood": { "enum": ["good", "bad"] },
        },
    });
    let list = json!({ "type": "array", "minItems": 1, "maxItems": 3,
        "items": { "type": "string", "maxLength": 20 } });
    for (schema, question) in [
        (person, "Ada is 36 years old."),
        (list, "Name three colours."),
    ] {
        let input = json!({ "message": { "text": question }, "outputSchema": schema });
        let (id, run) = ended(&client, input).await;
        assert_eq!(run["status"], "COMPLETED", "{run}");
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(&run["output"]["data"]), "{run}");
        let log = run_events(&client, &id, 0).await;
        let steps = log.iter().filter(|one| one["__typename"] == "StepStarted");
        assert_eq!(steps.count(), 1, "{log:#?}");
    }
    assert_eq!(server.upstream.received().len(), 0);
}
