//! Summaries over restarts and changes.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_agents::{changed, pirate};
use crate::shutdown::process;
use crate::summaries::{SHORT, agents, models, notes, of, setup, talk, texts, words};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    SEND, all, check_sequences, ended_run, half_said, input, run, run_events, send, string,
};
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::eventually;

#[tokio::test]
async fn an_agents_summaries_are_changed() {
    let server = TestServer::start().await;
    let client = server.client();
    let mut with = pirate();
    with["summary"] = json!({});
    let summary = async || {
        let document = "{ agent(name: \"pirate\") { summary { models maxOutputTokens }
            currentVersion { summary { models maxOutputTokens } } } }";
        let data = client.data(document, &json!({})).await;
        assert_eq!(
            data["agent"]["summary"],
            data["agent"]["currentVersion"]["summary"]
        );
        data["agent"]["summary"].clone()
    };
    let made = changed(&client, "createAgent", with).await;
    assert_eq!(
        summary().await,
        json!({ "models": [], "maxOutputTokens": 1_024 })
    );
    let (id, own) = (
        &made["id"],
        json!({ "models": ["openai/notes"], "maxOutputTokens": 99 }),
    );
    for (version, change, then) in [
        (1, json!({ "summary": own }), own.clone()),
        (2, json!({ "description": "Other." }), own.clone()),
        (3, json!({ "summary": null }), Value::Null),
    ] {
        let mut input = change;
        input["id"] = id.clone();
        input["expectedVersion"] = json!(version);
        changed(&client, "updateAgent", input).await;
        assert_eq!(summary().await, then, "{version}");
    }
}

/// A server that dies in the middle of a summary makes it again; one that dies later does not.
#[tokio::test]
async fn a_summary_survives_a_restart() {
    let (home, upstream, folder) = (
        TempDir::new().unwrap(),
        Upstream::start().await,
        agents(SHORT),
    );
    let path = folder.path().display().to_string();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "old"),
        ("models.default", "openai/small"),
    ];
    let mut killed = process(&home, &upstream, &settings).await;
    let session = talk(&killed.client(), None, &["one", "two", "three"]).await;
    upstream.then(half_said());
    let sent = killed
        .client()
        .data(SEND, &input(Some(&session), "four"))
        .await;
    let id = string(&sent["sendMessage"]["run"]["id"]);
    upstream.wait_holding(1).await;
    eventually("the step to be written", async || {
        let last = run(&killed.client(), &id).await["lastSequence"].as_u64();
        last.filter(|last| *last == 2)
    })
    .await;
    killed.kill();
    killed.exit_code().await;

    // The second is killed in the answer.
    upstream.then(notes("Known.")).then(half_said());
    let mut killed = process(&home, &upstream, &settings).await;
    upstream.wait_holding(2).await;
    eventually("the answer's first words", async || {
        let output = run(&killed.client(), &id).await["output"].take();
        (output["text"] == "one two ").then_some(())
    })
    .await;
    killed.kill();
    killed.exit_code().await;

    upstream.then(Script::tokens(["Done."]));
    let next = process(&home, &upstream, &settings).await;
    let client = next.client();
    let ended = ended_run(&client, &id).await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    assert_eq!(ended["output"]["text"], "Done.");
    assert_eq!(models(&upstream)[3..], ["notes", "notes", "small", "small"]);
    let received = upstream.received();
    assert_eq!(received[3].body, received[4].body);
    assert_eq!(received[5].body, received[6].body);
    assert!(texts(&received[6])[1].contains("Known."));
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    let again: Vec<_> = of(&log, "StepRestarted").into_iter().cloned().collect();
    assert_eq!(all(&again, "step"), [1, 2]);
    assert_eq!(of(&log, "StepStarted").len(), 2);
    assert_eq!(
        of(&log, "UsageUpdated").last().unwrap()["usage"]["inputTokens"],
        407
    );
}

/// Neither a question nor what its tools say is lost where the summary's own model is small.
#[tokio::test]
async fn a_small_model_is_told_the_newest() {
    let folder = agents(SHORT);
    let server: TestServer = Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "old")
        .set("models.default", "openai/small")
        .file("[models.openai.per_model.notes]\ncontext_tokens = 500\n")
        .start()
        .await;
    let client = server.client();
    let session = talk(&client, None, &[&words("one"), &words("two"), "three"]).await;
    server.upstream.then(notes("Little."));
    talk(&client, Some(&session), &["four"]).await;
    let received = server.upstream.received();
    let asked = texts(&received[3]);
    assert!(
        !asked[1].contains("one one") && asked[1].contains("two two"),
        "{asked:?}"
    );
    assert!(texts(&received[4])[1].contains("Little."));
}

/// What waits for its turn, or for a place, begins with its summary, too.
#[tokio::test]
async fn a_run_that_waits_begins_with_its_summary() {
    let folder = agents(SHORT);
    let server = setup(&folder).set("runs.active", 1).start().await;
    let client = server.client();
    let session = talk(&client, None, &["one", "two"]).await;
    server.upstream.then(half_said());
    let (_, active) = send(&client, Some(&session), "three").await;
    server.upstream.wait_holding(1).await;
    server.upstream.then(notes("Known."));
    let mut enqueued = input(Some(&session), "four");
    enqueued["input"]["onActiveRun"] = "ENQUEUE".into();
    let sent = client.data(SEND, &enqueued).await;
    let id = string(&sent["sendMessage"]["run"]["id"]);
    assert_eq!(sent["sendMessage"]["run"]["status"], "QUEUED");
    server.upstream.release();
    for run in [&active, &id] {
        assert_eq!(ended_run(&client, run).await["status"], "COMPLETED");
    }
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    let purposes: Vec<_> = of(&log, "StepStarted")
        .into_iter()
        .map(|step| step["purpose"].clone())
        .collect();
    assert_eq!(purposes, ["SUMMARY", "ANSWER"]);
    let shown = texts(server.upstream.received().last().unwrap());
    assert!(shown[1].contains("Known."), "{shown:?}");
    assert_eq!(shown[2..], ["three", "one two three", "four"]);
}
