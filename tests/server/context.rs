//! Conversations that are longer than a model's window.

use serde_json::Value;

use crate::support::server::{Setup, TestServer};
use crate::support::talk::{chat, string};
use crate::support::upstream::{Script, Upstream, finish, usage};

/// Some 100 tokens: a word is one.
fn words(word: &str) -> String {
    vec![word; 100].join(" ")
}

/// A server with one agent, whose instructions have some 150 tokens.
async fn server(window: u64) -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let instructions = vec!["rule"; 150].join(" ");
    let agent = format!(
        "name = \"short\"\ndescription = \"Is brief.\"\ninstructions = \"{instructions}\"\n"
    );
    std::fs::write(folder.path().join("short.toml"), agent).unwrap();
    // The folder is read at the start alone.
    Setup::new()
        .set("agents.folder", folder.path().display())
        .set("agents.default", "short")
        .set("models.openai.context_tokens", window)
        .set("runs.max_output_tokens", 100)
        .set("models.default", "openai/small")
        .start()
        .await
}

fn shown(upstream: &Upstream, call: usize) -> Vec<String> {
    let body = &upstream.received()[call].body;
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["role"] != "system")
        .map(|message| {
            let text = string(&message["content"]);
            let first = text.split(' ').next().unwrap();
            format!("{}: {first}", string(&message["role"]))
        })
        .collect()
}

fn answers(text: &str, input: u64) -> Script {
    Script::stream()
        .text([text])
        .event(finish("stop"))
        .event(usage(input, 3))
        .event("[DONE]")
}

/// The tokens of the last prompt, as the server counts them: no usage says otherwise.
const UNKNOWN: u64 = 0;

#[tokio::test]
async fn the_newest_turns_are_shown_that_fit() {
    // Besides the instructions there is room for three questions of some 105 tokens and two answers.
    let server = server(800).await;
    let client = server.client();
    let mut session: Option<String> = None;
    for word in ["one", "two", "three", "four"] {
        server.upstream.then(answers(&words(word), UNKNOWN));
        let answer = chat(&client, session.as_deref(), &words(word)).await;
        assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
        session = Some(string(&answer["session"]["id"]));
    }
    assert_eq!(
        server.upstream.received().len(),
        4,
        "nobody has asked for summaries"
    );
    let (third, last) = (shown(&server.upstream, 2), shown(&server.upstream, 3));
    assert_eq!(
        third,
        [
            "user: one",
            "assistant: one",
            "user: two",
            "assistant: two",
            "user: three"
        ]
    );
    assert!(
        last.len() < 7 && last.len() % 2 == 1,
        "whole turns: {last:?}"
    );
    assert_eq!(last.last().unwrap(), "user: four");
    assert_eq!(
        last[last.len() - 3..last.len() - 1],
        ["user: three", "assistant: three"]
    );
}

#[tokio::test]
async fn a_message_that_does_not_fit_is_refused_before_a_call() {
    let server = server(600).await;
    let answer = chat(&server.client(), None, &words("long").repeat(6)).await;
    assert_eq!(answer["run"]["status"], "FAILED");
    let error = &answer["run"]["error"];
    assert_eq!(error["code"], "CONTEXT_EXCEEDED");
    assert_eq!(
        error["message"],
        "the conversation does not fit the model's context of 600 tokens"
    );
    assert_eq!(server.upstream.received().len(), 0);
}

#[tokio::test]
async fn a_larger_model_takes_what_does_not_fit() {
    let server = Setup::new()
        .set("models.openai.context_tokens", 600)
        .file("[models.openai.per_model.large]\ncontext_tokens = 100_000\n")
        .set("models.default", "openai/small,openai/large")
        .start()
        .await;
    let answer = chat(&server.client(), None, &words("long").repeat(6)).await;
    assert_eq!(answer["run"]["status"], "COMPLETED", "{answer}");
    let received = server.upstream.received();
    let models: Vec<&Value> = received.iter().map(|one| &one.body["model"]).collect();
    assert_eq!(models, ["large"]);
}

/// A provider that reads twice as many tokens as were counted is shown half as much.
#[tokio::test]
async fn what_the_provider_says_that_it_has_read_corrects_the_count() {
    let server = server(1_000).await;
    let client = server.client();
    server.upstream.then(answers(&words("one"), 5_000));
    let answer = chat(&client, None, &words("one")).await;
    let session = string(&answer["session"]["id"]);
    server.upstream.then(answers("two", UNKNOWN));
    chat(&client, Some(&session), &words("two")).await;
    server.upstream.then(answers("three", UNKNOWN));
    chat(&client, Some(&session), &words("three")).await;
    assert_eq!(
        shown(&server.upstream, 2),
        ["user: two", "assistant: two", "user: three"]
    );
}
