//! Saying something else, being answered again, and going from branch to branch.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    all, cancel, chat, ended_run, follow, half_said, messages, run_events, send, string,
};
use crate::support::upstream::Script;

const STARTED: &str = "session { id head { id } } userMessage { id text run { id } } run { id }";

fn regenerate_document() -> String {
    format!("mutation($id: ID!) {{ it: regenerate(input: {{ messageId: $id }}) {{ {STARTED} }} }}")
}

fn edit_document() -> String {
    format!(
        "mutation($id: ID!) {{ it: editMessage(input: {{ messageId: $id,
           message: {{ text: \"Hi instead\" }} }}) {{ {STARTED} }} }}"
    )
}

const SWITCH: &str = "mutation($id: ID!) { it: switchBranch(input: { messageId: $id }) {
    session { id head { id } } } }";

/// Carries one of the mutations out; its payload.
async fn change(client: &Client, document: &str, message: &Value) -> Value {
    let mut data = client.data(document, &json!({ "id": message })).await;
    data["it"].take()
}

/// As [`change`], and waits for the answer; returns its run.
async fn answered(client: &Client, document: &str, message: &Value) -> Value {
    let started = change(client, document, message).await;
    ended_run(client, &string(&started["run"]["id"])).await
}

/// A field of the messages beside a message, and of its parent.
async fn kin(client: &Client, message: &Value, field: &str) -> (Vec<Value>, Value) {
    let document = format!(
        "query($id: ID!) {{ node(id: $id) {{ ... on Message {{
           siblings {{ {field} }} parent {{ {field} }} }} }} }}"
    );
    let mut data = client.data(&document, &json!({ "id": message })).await;
    let siblings = data["node"]["siblings"].as_array().unwrap();
    let siblings = siblings.iter().map(|one| one[field].clone()).collect();
    (siblings, data["node"]["parent"][field].take())
}

/// What the model was shown by its `call`th call, without the instructions.
fn shown(server: &TestServer, call: usize) -> Vec<String> {
    let asked = &server.upstream.received()[call].body["messages"];
    let spoken = &asked.as_array().unwrap()[1..];
    all(spoken, "content").into_iter().map(string).collect()
}

fn says(text: &str) -> Script {
    Script::stream().text([text]).ended()
}

pub(crate) async fn an_answer_is_made_again(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(says("one"));
    let first = chat(&client, None, "Count").await;
    let session = string(&first["session"]["id"]);
    server.upstream.then(says("two"));

    let started = change(&client, &regenerate_document(), &first["message"]["id"]).await;

    assert_eq!(started["session"]["id"], session.as_str());
    assert_eq!(
        started["session"]["head"],
        json!({ "id": first["userMessage"]["id"] })
    );
    assert_eq!(started["userMessage"]["id"], first["userMessage"]["id"]);
    let again = string(&started["run"]["id"]);
    assert_ne!(started["run"]["id"], first["run"]["id"]);
    assert_eq!(
        started["userMessage"]["run"]["id"], first["run"]["id"],
        "the run that it started"
    );
    let log = run_events(&client, &again, 0).await;
    assert_eq!(all(&log, "__typename").last().unwrap(), &"RunCompleted");
    let second = ended_run(&client, &again).await;
    assert_eq!(second["output"]["text"], "two");
    assert_eq!(
        messages(&client, &session).await,
        ["USER: Count", "ASSISTANT: two"]
    );
    assert_eq!(shown(&server, 1), ["Count"]);

    // What a person said can be answered again too, even when its answers have failed.
    server.upstream.then(says("three"));
    let asked = &first["userMessage"]["id"];
    let third = answered(&client, &regenerate_document(), asked).await;
    let answers = [
        &first["message"]["id"],
        &second["output"]["id"],
        &third["output"]["id"],
    ];
    for answer in answers {
        let (siblings, parent) = kin(&client, answer, "id").await;
        assert_eq!(siblings.iter().collect::<Vec<_>>(), answers);
        assert_eq!(parent, *asked);
    }
    let (siblings, parent) = kin(&client, asked, "id").await;
    assert_eq!((siblings, parent), (vec![asked.clone()], Value::Null));
    assert_eq!(
        kin(&client, answers[0], "text").await.0,
        ["one", "two", "three"]
    );
    assert_eq!(
        messages(&client, &session).await,
        ["USER: Count", "ASSISTANT: three"]
    );
}

pub(crate) async fn an_earlier_answer_is_made_again(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "First").await;
    let session = string(&first["session"]["id"]);
    chat(&client, Some(&session), "Second").await;
    server.upstream.then(says("other"));

    answered(&client, &regenerate_document(), &first["message"]["id"]).await;

    assert_eq!(shown(&server, 2), ["First"]);
    assert_eq!(
        messages(&client, &session).await,
        ["USER: First", "ASSISTANT: other"]
    );
    // The next message follows the new answer.
    chat(&client, Some(&session), "Third").await;
    assert_eq!(shown(&server, 3), ["First", "other", "Third"]);
    assert_eq!(messages(&client, &session).await.len(), 4);
}

pub(crate) async fn a_message_is_said_differently(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    let second = chat(&client, Some(&session), "And?").await;

    let edited = change(&client, &edit_document(), &second["userMessage"]["id"]).await;
    ended_run(&client, &string(&edited["run"]["id"])).await;

    assert_eq!(edited["userMessage"]["text"], "Hi instead");
    assert_eq!(edited["userMessage"]["run"], edited["run"]);
    assert_eq!(shown(&server, 2), ["Hello", "echo 2: Hello", "Hi instead"]);
    assert_eq!(
        messages(&client, &session).await[2..],
        ["USER: Hi instead", "ASSISTANT: echo 4: Hi instead"]
    );
    let (siblings, parent) = kin(&client, &edited["userMessage"]["id"], "text").await;
    assert_eq!(siblings, ["And?", "Hi instead"]);
    assert_eq!(parent, "echo 2: Hello");

    // The first message has no parent, and siblings nevertheless: but none of other sessions.
    chat(&client, None, "Elsewhere").await;
    answered(&client, &edit_document(), &first["userMessage"]["id"]).await;
    assert_eq!(
        messages(&client, &session).await,
        ["USER: Hi instead", "ASSISTANT: echo 2: Hi instead"]
    );
    let (siblings, parent) = kin(&client, &first["userMessage"]["id"], "text").await;
    assert_eq!(siblings, ["Hello", "Hi instead"]);
    assert_eq!(parent, Value::Null);
}

pub(crate) async fn a_branch_is_chosen(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    let second = chat(&client, Some(&session), "And?").await;
    let before = messages(&client, &session).await;
    answered(&client, &edit_document(), &first["userMessage"]["id"]).await;
    let after = messages(&client, &session).await;

    // Down to what was written last below the message.
    let switched = change(&client, SWITCH, &first["userMessage"]["id"]).await;
    assert_eq!(switched["session"]["id"], session.as_str());
    assert_eq!(switched["session"]["head"]["id"], second["message"]["id"]);
    assert_eq!(messages(&client, &session).await, before);

    let (siblings, _) = kin(&client, &first["userMessage"]["id"], "id").await;
    change(&client, SWITCH, &siblings[1]).await;
    assert_eq!(messages(&client, &session).await, after);

    // The next message follows the branch that was chosen.
    change(&client, SWITCH, &second["message"]["id"]).await;
    let third = chat(&client, Some(&session), "More").await;
    assert_eq!(shown(&server, 3).len(), 5);
    assert_eq!(third["message"]["text"], "echo 6: More");
    let switched = change(&client, SWITCH, &first["message"]["id"]).await;
    assert_eq!(switched["session"]["head"]["id"], third["message"]["id"]);
    assert_eq!(messages(&client, &session).await.len(), 6);
}

pub(crate) async fn a_branch_waits_for_the_active_run(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    server.upstream.then(half_said());
    let (_, active) = send(&client, Some(&session), "Count").await;
    server.upstream.wait_holding(1).await;
    let before = messages(&client, &session).await;
    let asked = &first["userMessage"]["id"];
    for document in [&regenerate_document(), &edit_document(), SWITCH] {
        let error = client.error(document, &json!({ "id": asked })).await;
        let extensions = json!({ "code": "CONFLICT", "field": "input.messageId", "runId": active });
        assert_eq!(error["extensions"], extensions, "{document}");
    }
    assert_eq!(messages(&client, &session).await, before);
    cancel(&client, &active).await;
    ended_run(&client, &active).await;
    for document in [&regenerate_document(), &edit_document()] {
        let run = answered(&client, document, asked).await;
        assert_eq!(run["status"], "COMPLETED");
    }
    change(&client, SWITCH, asked).await;
    assert_eq!(server.upstream.received().len(), 4);
}

pub(crate) async fn an_answer_knows_its_siblings_while_it_is_made(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Count").await;
    server.upstream.then(half_said());
    let started = change(&client, &regenerate_document(), &first["message"]["id"]).await;
    server.upstream.wait_holding(1).await;
    let document = "subscription($run: ID!) { runEvents(runId: $run) { ... on TextDelta {
        message { id text parent { id } siblings { id text } latest: siblings(last: 1) { id } } } } }";
    let run = json!({ "run": started["run"]["id"] });
    let mut stream = client.events(document, &run).await;
    let message = loop {
        let mut event = stream.next().await.unwrap();
        assert!(event.get("errors").is_none(), "{event}");
        let message = event["data"]["runEvents"]["message"].take();
        if message.is_object() {
            break message;
        }
    };
    assert_eq!(message["parent"]["id"], first["userMessage"]["id"]);
    let expected = json!([
        { "id": first["message"]["id"], "text": first["message"]["text"] },
        { "id": message["id"], "text": message["text"] },
    ]);
    assert_eq!(message["siblings"], expected);
    assert_eq!(message["latest"], json!([{ "id": message["id"] }]));
    server.upstream.release();
    let id = string(&started["run"]["id"]);
    follow(&client, &id, 0).await.rest().await;
}

pub(crate) async fn siblings_are_bounded(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let mut ids = vec![first["message"]["id"].clone()];
    for _ in 0..3 {
        let run = answered(&client, &regenerate_document(), &ids[0]).await;
        ids.push(run["output"]["id"].clone());
    }
    let document = "query($id: ID!) { node(id: $id) { ... on Message {
        siblings(last: 2) { id } } } }";
    let siblings = async |id: &Value| {
        let data = client.data(document, &json!({ "id": id })).await;
        let siblings = data["node"]["siblings"].as_array().unwrap();
        siblings
            .iter()
            .map(|one| one["id"].clone())
            .collect::<Vec<_>>()
    };
    // The latest, and the message itself always.
    assert_eq!(siblings(&ids[3]).await, ids[2..]);
    assert_eq!(siblings(&ids[2]).await, ids[2..]);
    assert_eq!(siblings(&ids[0]).await, [ids[0].clone(), ids[3].clone()]);
}

const ALICE: &str = "key-of-alice";
const OTHERS: [&str; 2] = ["key-of-bob", "key-of-carol"];

pub(crate) async fn nobody_branches_what_belongs_to_others(db: Arc<Database>) {
    let setup = Setup::new()
        .key(ALICE, "acme", "alice")
        .key(OTHERS[0], "bcorp", "alice")
        .key(OTHERS[1], "acme", "carol");
    let server = setup.on(&db).start().await;
    let alice = server.client_with(ALICE);
    let first = chat(&alice, None, "A secret").await;
    let session = string(&first["session"]["id"]);
    let before = messages(&alice, &session).await;
    for key in OTHERS {
        let other = server.client_with(key);
        for id in [&first["userMessage"]["id"], &first["message"]["id"]] {
            for document in [&regenerate_document(), &edit_document(), SWITCH] {
                let error = other.error(document, &json!({ "id": id })).await;
                let extensions = json!({ "code": "NOT_FOUND", "field": "input.messageId" });
                assert_eq!(error["extensions"], extensions, "{document}");
            }
        }
    }
    assert_eq!(messages(&alice, &session).await, before);
    assert_eq!(server.upstream.received().len(), 1);
}
