//! Messages with images and documents.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::string;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id title } run { status error { code } } userMessage { id text } } }";

const PARTS: &str = "query($id: ID!) { node(id: $id) { ... on Message { text parts { __typename
    ... on FilePart { name mimeType bytes data } } } } }";

/// The first bytes of a PNG file, which tell what it is, in Base64.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";
const PDF: &str = "JVBERi0xLjcK";

fn image() -> Value {
    json!({ "name": "cat.png", "mimeType": "image/png", "data": PNG })
}

fn input(session: &Value, text: &str, files: &Value) -> Value {
    json!({ "input": { "sessionId": session, "message": { "text": text, "files": files } } })
}

async fn ask(client: &Client, session: &Value, text: &str, files: &Value) -> Value {
    client.data(CHAT, &input(session, text, files)).await["chat"].take()
}

pub(crate) async fn a_file_reaches_the_model_and_comes_back(db: Arc<Database>) {
    let server: TestServer = Setup::new().on(&db).start().await;
    let client = server.client();
    let pdf = json!({ "name": "bill.pdf", "data": PDF });
    let said = ask(
        &client,
        &Value::Null,
        "What is this?",
        &json!([image(), pdf]),
    )
    .await;
    assert_eq!(said["run"]["status"], "COMPLETED", "{said}");
    let sent = server.upstream.received()[0].body["messages"][1].clone();
    let data = format!("data:image/png;base64,{PNG}");
    let pdf = format!("data:application/pdf;base64,{PDF}");
    let expected = json!({ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": data } },
        { "type": "file", "file": { "filename": "bill.pdf", "file_data": pdf } },
    ] });
    assert_eq!(sent, expected);
    let read = client
        .data(PARTS, &json!({ "id": said["userMessage"]["id"] }))
        .await;
    assert_eq!(read["node"]["text"], "What is this?");
    let parts = &read["node"]["parts"];
    assert_eq!(
        parts[1],
        json!({ "__typename": "FilePart", "name": "cat.png",
        "mimeType": "image/png", "bytes": 16, "data": PNG })
    );
    assert_eq!(parts[2]["mimeType"], "application/pdf");
    // It is there in the next turn, too, and nobody else sees it.
    ask(&client, &said["session"]["id"], "And now?", &Value::Null).await;
    assert_eq!(server.upstream.received()[1].body["messages"][1], expected);
}

pub(crate) async fn a_file_may_come_without_words(db: Arc<Database>) {
    let server: TestServer = Setup::new().on(&db).start().await;
    let client = server.client();
    let text = json!([{ "name": "notes.txt", "data": "SGVsbG8=" }]);
    let said = ask(&client, &Value::Null, " ", &text).await;
    assert_eq!(
        (&said["userMessage"]["text"], &said["session"]["title"]),
        (&json!(""), &Value::Null)
    );
    let sent = &server.upstream.received()[0].body["messages"][1]["content"];
    assert_eq!(
        sent,
        &json!([{ "type": "text", "text": "File \"notes.txt\":\nHello" }])
    );
}

pub(crate) async fn a_key_stands_for_the_files_as_well(db: Arc<Database>) {
    let server: TestServer = Setup::new().on(&db).start().await;
    let client = server.client();
    let with_key = |files: Value| {
        let mut variables = input(&Value::Null, "See", &files);
        variables["input"]["idempotencyKey"] = "k".into();
        variables
    };
    let send = "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }";
    let first = client.data(send, &with_key(json!([image()]))).await;
    assert_eq!(client.data(send, &with_key(json!([image()]))).await, first);
    let other = client
        .error(send, &with_key(json!([{ "data": PDF }])))
        .await;
    assert_eq!(other["extensions"]["code"], "CONFLICT");
}

#[tokio::test]
async fn a_file_is_looked_at_before_anything_starts() {
    let server = Setup::new()
        .set("limits.files", 2)
        .set("limits.file_bytes", 1_000)
        .start()
        .await;
    let client = server.client();
    let long = "A".repeat(1_600);
    for (files, field, why) in [
        (
            json!([image(), image(), image()]),
            "files",
            "at most 2 files",
        ),
        (
            json!([image(), { "data": "?" }]),
            "files.1.data",
            "invalid Base64",
        ),
        (json!([{ "data": "" }]), "files.0.data", "0 bytes"),
        (
            json!([{ "data": long }]),
            "files.0.data",
            "1 to 1000 are allowed",
        ),
        (
            json!([{ "mimeType": "image/jpeg", "data": PNG }]),
            "files.0.mimeType",
            "image/png",
        ),
        (
            json!([{ "mimeType": "image", "data": PNG }]),
            "files.0.mimeType",
            "no type",
        ),
        (
            json!([{ "name": "\n", "data": PNG }]),
            "files.0.name",
            "printable",
        ),
        (
            json!([{ "data": "R0lGODlhAQABAAAAACw=", "mimeType": "image/gif" },
            { "data": "UEsDBAoAAAAAAAAAAAA=" }]),
            "files.1",
            "takes files of type application/zip",
        ),
    ] {
        let refused = client
            .error(CHAT, &input(&Value::Null, "See", &files))
            .await;
        let extensions = &refused["extensions"];
        assert_eq!(extensions["code"], "BAD_USER_INPUT", "{refused}");
        assert_eq!(
            extensions["field"],
            format!("input.message.{field}"),
            "{refused}"
        );
        assert!(string(&refused["message"]).contains(why), "{refused}");
    }
    assert_eq!(server.upstream.received().len(), 0);
}

/// What a model does not take is refused; what it was shown by another is told of.
#[tokio::test]
async fn a_model_takes_only_some_files() {
    let server = Setup::new()
        .set("models.default", "openai/blind")
        .file("[models.openai.per_model.blind]\nfiles = [\"text/*\"]\n")
        .start()
        .await;
    let client = server.client();
    let refused = client
        .error(CHAT, &input(&Value::Null, "See", &json!([image()])))
        .await;
    assert_eq!(refused["extensions"]["field"], "input.message.files.0");
    let text = json!([{ "data": "SGVsbG8=" }]);
    let said = ask(&client, &Value::Null, "See", &text).await;
    assert_eq!(said["run"]["status"], "COMPLETED", "{said}");
}

#[tokio::test]
async fn files_belong_to_one_owner() {
    let server = Setup::new()
        .key("ann-key", "acme", "ann")
        .key("bob-key", "acme", "bob")
        .start()
        .await;
    let (ann, bob) = (server.client_with("ann-key"), server.client_with("bob-key"));
    let said = ask(&ann, &Value::Null, "See", &json!([image()])).await;
    let id = json!({ "id": said["userMessage"]["id"] });
    assert_eq!(ann.data(PARTS, &id).await["node"]["parts"][1]["data"], PNG);
    assert_eq!(bob.data(PARTS, &id).await["node"], Value::Null);
}

/// Types as browsers and phones name them, and contents as front ends have them at hand.
#[tokio::test]
async fn a_type_has_several_names_and_a_content_several_forms() {
    let server = Setup::new().start().await;
    let client = server.client();
    let jpeg = "/9j/4AAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let words = "IyB3b3Jkcw==";
    for (file, found) in [
        (
            json!({ "data": jpeg, "mimeType": "image/jpg" }),
            "image/jpeg",
        ),
        (
            json!({ "data": jpeg, "mimeType": "image/pjpeg" }),
            "image/jpeg",
        ),
        (
            json!({ "data": jpeg, "mimeType": "application/octet-stream" }),
            "image/jpeg",
        ),
        (
            json!({ "data": format!("data:image/jpeg;base64,{jpeg}") }),
            "image/jpeg",
        ),
        (
            json!({ "data": format!("data:image/jpg;base64,{jpeg}"), "mimeType": "image/jpeg" }),
            "image/jpeg",
        ),
        (
            json!({ "url": format!("data:image/jpeg;base64,{jpeg}") }),
            "image/jpeg",
        ),
        (
            json!({ "data": words, "mimeType": "text/markdown; charset=utf-8" }),
            "text/markdown",
        ),
        (
            json!({ "data": "data:text/markdown;charset=utf-8,%23%20words" }),
            "text/markdown",
        ),
    ] {
        let said = ask(&client, &Value::Null, "See", &json!([file])).await;
        assert_eq!(said["run"]["status"], "COMPLETED", "{file}: {said}");
        let id = json!({ "id": said["userMessage"]["id"] });
        let part = client.data(PARTS, &id).await["node"]["parts"][1].take();
        assert_eq!(part["mimeType"], found, "{file}");
        let content = if found == "image/jpeg" { jpeg } else { words };
        assert_eq!(part["data"], content, "{file}");
    }
}
