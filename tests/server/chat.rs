//! Asking and being answered.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::server::{PROVIDER_KEY, Setup};
use crate::support::talk::{
    all, chat, chat_subscription, create_session, events, input, messages, run, string,
};
use crate::support::upstream::{Script, chunk, finish, usage};

pub(crate) async fn a_question_is_answered(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let session = create_session(&client).await;

    let answer = chat(&client, Some(&session), "What is a session?").await;

    assert_eq!(
        answer["session"],
        json!({ "id": session, "title": "What is a session?" })
    );
    assert_eq!(answer["userMessage"]["role"], "USER");
    assert_eq!(answer["userMessage"]["text"], "What is a session?");
    // Two messages: the agent's instructions and the question.
    assert_eq!(answer["message"]["text"], "echo 2: What is a session?");
    assert_eq!(answer["message"]["role"], "ASSISTANT");
    assert_eq!(answer["message"]["finishReason"], "STOP");
    assert_eq!(answer["run"]["status"], "COMPLETED");
    assert_eq!(answer["run"]["error"], Value::Null);
    assert_eq!(answer["run"]["output"]["id"], answer["message"]["id"]);
    assert_eq!(
        run(&client, &string(&answer["run"]["id"])).await,
        answer["run"]
    );

    let asked = &server.upstream.received()[0];
    assert_eq!(asked.line, "POST /v1/chat/completions");
    let bearer = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(asked.header("authorization"), Some(bearer.as_str()));
    assert_eq!(asked.body["model"], "gpt-6-luna");
    assert_eq!(asked.body["messages"][0]["role"], "system");
}

pub(crate) async fn the_second_turn_remembers_the_first(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "My name is Ann.").await;
    let session = string(&first["session"]["id"]);

    let second = chat(&client, Some(&session), "What is my name?").await;

    assert_eq!(second["message"]["text"], "echo 4: What is my name?");
    assert_eq!(
        messages(&client, &session).await,
        [
            "USER: My name is Ann.",
            "ASSISTANT: echo 2: My name is Ann.",
            "USER: What is my name?",
            "ASSISTANT: echo 4: What is my name?",
        ]
    );
    let asked = &server.upstream.received()[1].body["messages"];
    assert_eq!(
        all(&asked.as_array().unwrap()[1..], "content"),
        [
            "My name is Ann.",
            "echo 2: My name is Ann.",
            "What is my name?"
        ]
    );
}

pub(crate) async fn an_answer_streams_as_it_is_made(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let tokens = ["Grüß ", "dich", ", ", "🦀", "!"];
    server
        .upstream
        .then(Script::stream().text(tokens).hold().text([" Bye"]).ended());
    let mut stream = client
        .events(&chat_subscription(), &input(None, "Hello"))
        .await;

    // The first part comes while the model has not said the rest.
    let mut said = Vec::new();
    while all(&said, "delta").len() < 2 + tokens.len() {
        said.push(events(vec![stream.next().await.unwrap()]).remove(0));
    }
    server.upstream.release();
    said.extend(events(stream.rest().await));

    let sequences: Vec<_> = (1..=said.len()).map(Value::from).collect();
    assert_eq!(all(&said, "sequence"), sequences.iter().collect::<Vec<_>>());
    assert_eq!(
        all(&said, "__typename"),
        [
            "RunStarted",
            "StepStarted",
            "TextDelta",
            "TextDelta",
            "TextDelta",
            "TextDelta",
            "TextDelta",
            "TextDelta",
            "UsageUpdated",
            "StepFinished",
            "MessageCompleted",
            "RunCompleted",
        ]
    );
    let whole = check_texts(&said);
    assert_eq!(whole, "Grüß dich, 🦀! Bye");
    let id = string(&said[0]["run"]["id"]);
    assert_eq!(run(&client, &id).await["output"]["text"], whole);
    let completed = &said[said.len() - 2]["message"];
    assert_eq!(completed["text"], whole);
    assert_eq!(
        completed["id"], said[2]["message"]["id"],
        "one message all along"
    );
}

/// Checks that each event has the text so far, and gives all of it.
pub(crate) fn check_texts(events: &[Value]) -> String {
    let mut text = String::new();
    for event in events
        .iter()
        .filter(|event| event["__typename"] == "TextDelta")
    {
        text += event["delta"].as_str().unwrap();
        assert_eq!(event["message"]["text"], text, "{event}");
        assert_eq!(event["firstSequence"], event["sequence"]);
    }
    text
}

pub(crate) async fn what_the_model_thinks_is_a_part_of_its_own(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let thought = chunk(&json!({ "reasoning_content": "Hm. " }));
    server
        .upstream
        .then(Script::stream().event(thought).text(["Yes."]).ended());
    let answer = chat(&client, None, "Is it?").await;
    assert_eq!(answer["message"]["text"], "Yes.");
    let document = "query($id: ID!) { node(id: $id) { ... on Message { parts { __typename
        ... on TextPart { text } ... on ReasoningPart { text } } } } }";
    let data = client
        .data(document, &json!({ "id": answer["message"]["id"] }))
        .await;
    assert_eq!(
        data["node"]["parts"],
        json!([
            { "__typename": "ReasoningPart", "text": "Hm. " },
            { "__typename": "TextPart", "text": "Yes." },
        ])
    );
}

pub(crate) async fn a_run_tells_what_it_used(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let script = Script::stream()
        .text(["So"])
        .event(finish("length"))
        .event(usage(11, 5));
    server.upstream.then(script.event("[DONE]"));
    let document = "mutation($input: ChatInput!) { chat(input: $input) { run {
        finishReason model agent { name } agentVersion { number } startedAt finishedAt
        usage { inputTokens outputTokens } input { text } session { id } } session { id } } }";
    let data = client.data(document, &input(None, "And?")).await;
    let run = &data["chat"]["run"];
    assert_eq!(
        run["usage"],
        json!({ "inputTokens": 11, "outputTokens": 5 })
    );
    assert_eq!(run["finishReason"], "LENGTH");
    assert_eq!(run["model"], "openai/gpt-6-luna");
    assert_eq!(run["agent"]["name"], "research");
    assert_eq!(run["agentVersion"]["number"], 1);
    assert_eq!(run["input"]["text"], "And?");
    assert_eq!(run["session"], data["chat"]["session"]);
    assert!(
        string(&run["startedAt"]) <= string(&run["finishedAt"]),
        "{run}"
    );
}
