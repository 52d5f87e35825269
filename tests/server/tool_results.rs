//! Results of tools with their shape: values, images and resources, shown, stored and sent to
//! models.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent_tools::{call, called, shown};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::pages::Pages;
use crate::support::server::{Setup, repository};
use crate::support::talk::{chat, string};
use crate::support::upstream::Script;
use crate::support::wait::eventually;

const PARTS: &str = "{ __typename ... on ToolCallPart { name arguments input }
    ... on ToolResultPart { text isError truncated parts { __typename
      ... on TextPart { text } ... on DataPart { data }
      ... on FilePart { name mimeType bytes data }
      ... on ResourcePart { uri name title mimeType bytes text file { data } } } } }";

/// The settings of the server `tests/mcp/results.mjs`, whose image has this content.
fn results(content: &str) -> String {
    let arguments = json!([repository("tests/mcp/results.mjs"), content]);
    format!("[[tools.mcp]]\nname = \"camera\"\ncommand = \"node\"\nargs = {arguments}\n")
}

/// An agent with the tools of that server.
fn agent() -> TempDir {
    let folder = TempDir::new().unwrap();
    let toml = "name = \"handy\"\ndescription = \"Has tools.\"\ninstructions = \"Use them.\"\n\
        tools = [\"camera__look\", \"camera__value\", \"camera__many\"]\n";
    std::fs::write(folder.path().join("handy.toml"), toml).unwrap();
    folder
}

fn setup(folder: &TempDir, settings: &str) -> Setup {
    Setup::new()
        .file(settings)
        .set("agents.folder", folder.path().display())
        .set("agents.default", "handy")
}

fn png(content: &str) -> String {
    let content = [b"\x89PNG\r\n\x1a\n".as_slice(), content.as_bytes()].concat();
    STANDARD.encode(content)
}

/// The parts of the answers of a session.
async fn answers(client: &Client, session: &str) -> Vec<Value> {
    let document = format!(
        "query($id: ID!) {{ session(id: $id) {{ messages {{ nodes {{ role parts {PARTS} }} }} }} }}"
    );
    let mut data = client.data(&document, &json!({ "id": session })).await;
    let nodes = data["session"]["messages"]["nodes"].take();
    let answers = nodes.as_array().unwrap().iter();
    let answers = answers.filter(|node| node["role"] == "ASSISTANT");
    answers.map(|node| node["parts"].clone()).collect()
}

async fn is_stored(db: &Database, content: &str) -> bool {
    !db.found(&[content.to_owned()]).await.is_empty()
}

fn calls(tool: &str, arguments: &str) -> Script {
    called(call(Script::stream(), 0, tool, arguments))
}

pub(crate) async fn a_result_keeps_its_shape(db: Arc<Database>) {
    let (folder, content) = (agent(), format!("canary{:016x}", fastrand::u64(..)));
    let server = setup(&folder, &results(&content)).on(&db).start().await;
    let client = server.client();
    server
        .upstream
        .then(calls("camera__look", "{\"at\": \"it\"}"));
    let said = chat(&client, None, "What is there?").await;
    let session = string(&said["session"]["id"]);

    let parts = answers(&client, &session).await.remove(0);
    assert_eq!(parts[0]["input"], json!({ "at": "it" }));
    let result = &parts[1];
    assert_eq!(result["isError"], false, "{result}");
    let text = string(&result["text"]);
    assert_eq!(
        text,
        format!(
            "A cat.\n\n[image: image/png, {} bytes]\n\n[resource: cats.md (file:///cats.md)]\n\n\
             [resource: note://1]\nMeow.\n\n{{\"animal\":\"cat\",\"legs\":4}}",
            content.len() + 8
        )
    );
    assert_eq!(
        result["parts"],
        json!([
            { "__typename": "TextPart", "text": "A cat." },
            { "__typename": "FilePart", "name": null, "mimeType": "image/png",
              "bytes": content.len() + 8, "data": png(&content) },
            { "__typename": "ResourcePart", "uri": "file:///cats.md", "name": "cats.md",
              "title": "Cats", "mimeType": "text/markdown", "bytes": null, "text": null,
              "file": null },
            { "__typename": "ResourcePart", "uri": "note://1", "name": null, "title": null,
              "mimeType": "text/plain", "bytes": 5, "text": "Meow.", "file": null },
            { "__typename": "DataPart", "data": { "animal": "cat", "legs": 4 } },
        ])
    );

    // The model is shown the image after the results, as messages of tools are text here; in the
    // next turn, too.
    let image = json!({ "type": "image_url",
        "image_url": { "url": format!("data:image/png;base64,{}", png(&content)) } });
    let step = shown(&server.upstream, 1);
    let last = &step[step.len() - 1];
    assert_eq!(last["role"], "user");
    assert_eq!(last["content"][1], image, "{last}");
    let tool = &step[step.len() - 3];
    assert_eq!(tool["role"], "tool");
    assert!(string(&tool["content"]).starts_with(&text), "{tool}");
    let last = format!("canary{:016x}", fastrand::u64(..));
    server.upstream.then(Script::tokens([&last]));
    chat(&client, Some(&session), "And now?").await;
    let turn = shown(&server.upstream, 2);
    assert!(turn.iter().any(|message| message["content"][1] == image));

    // A fork shares the file, which is gone with the last session that shows it.
    let fork = "mutation($id: ID!) { forkSession(input: { messageId: $id }) { session { id } } }";
    let forked = client
        .data(fork, &json!({ "id": said["message"]["id"] }))
        .await;
    let forked = string(&forked["forkSession"]["session"]["id"]);
    let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    client.data(delete, &json!({ "id": session })).await;
    eventually("the first session's removal", async || {
        (!is_stored(&db, &last).await).then_some(())
    })
    .await;
    let parts = answers(&client, &forked).await.remove(0);
    assert_eq!(parts[1]["parts"][1]["data"], png(&content));
    assert!(is_stored(&db, &content).await);
    client.data(delete, &json!({ "id": forked })).await;
    eventually("the file's removal", async || {
        (!is_stored(&db, &content).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_value_is_data_and_stored_once() {
    let folder = agent();
    let server = setup(&folder, &results("x")).start().await;
    let client = server.client();
    server.upstream.then(calls("camera__value", "{}"));
    let said = chat(&client, None, "A value?").await;
    let parts = answers(&client, &string(&said["session"]["id"])).await;
    let result = &parts[0][1];
    assert_eq!(result["text"], "{\"z\":1,\"a\":2}");
    let kinds = result["parts"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|part| part["__typename"].clone()).collect();
    assert_eq!(kinds, ["TextPart", "DataPart"]);
    assert_eq!(result["parts"][1]["data"].to_string(), "{\"z\":1,\"a\":2}");
}

#[tokio::test]
async fn files_over_the_limits_are_notes() {
    let folder = agent();
    let settings = results("x").replacen(
        "[[tools.mcp]]",
        "[tools]\noutput_files = 3\noutput_file_bytes_per_run = 40\n[[tools.mcp]]",
        1,
    );
    let server = setup(&folder, &settings).start().await;
    let client = server.client();
    server.upstream.then(calls("camera__many", "{}"));
    server.upstream.then(calls("camera__many", "{}"));
    let said = chat(&client, None, "Much?").await;
    let parts = answers(&client, &string(&said["session"]["id"])).await;
    let files = |result: &Value| {
        let parts = result["parts"].as_array().unwrap().iter();
        parts
            .filter(|part| part["__typename"] == "FilePart")
            .count()
    };
    let (first, second) = (&parts[0][1], &parts[0][3]);
    assert_eq!(files(first), 3, "{first}");
    assert_eq!(first["truncated"], true);
    assert!(
        string(&first["text"]).contains("at most 3 files"),
        "{first}"
    );
    // The run has 27 of its 40 bytes by now.
    assert_eq!(files(second), 0, "{second}");
    assert!(
        string(&second["text"]).contains("exceed 40 bytes"),
        "{second}"
    );
}

#[tokio::test]
async fn responses_to_http_tools_keep_their_shape() {
    let typed = |kind: &'static str, body: Vec<u8>| {
        get(move || async move { ([(CONTENT_TYPE, kind)], body) })
    };
    let image = [b"\x89PNG\r\n\x1a\n".as_slice(), b"pixels"].concat();
    let routes = Router::new()
        .route(
            "/json",
            typed(
                "application/json; charset=utf-8",
                b"{\"b\": 1, \"a\": [2]}".to_vec(),
            ),
        )
        .route("/broken", typed("application/json", b"{\"b\": ".to_vec()))
        .route("/image", typed("image/png", image.clone()));
    let pages = Pages::serve(routes).await;
    let tool = |name: &str| {
        format!(
            "[[tools.http]]\nname = \"{name}\"\ndescription = \"Tells.\"\nmethod = \"GET\"\n\
             url = \"{}\"\nparameters = '{{\"type\": \"object\"}}'\n",
            pages.url(&format!("/{name}"))
        )
    };
    let settings = tool("json") + &tool("broken") + &tool("image");
    let server = Setup::new().file(&settings).start().await;
    let client = server.client();
    let parts = async |name: &str| {
        let document = "mutation($name: String!) { callTool(input: { name: $name }) { output {
            text parts { __typename ... on TextPart { text } ... on DataPart { data }
            ... on FilePart { mimeType bytes data } } } failure { message } } }";
        let mut data = client.data(document, &json!({ "name": name })).await;
        data["callTool"]["output"].take()
    };
    let value = parts("json").await;
    assert_eq!(value["text"], "{\"b\": 1, \"a\": [2]}");
    assert_eq!(
        value["parts"],
        json!([{ "__typename": "DataPart", "data": { "b": 1, "a": [2] } }])
    );
    let broken = parts("broken").await;
    assert_eq!(broken["parts"][0]["__typename"], "TextPart");
    // Nothing of a direct call is stored: its file is at hand.
    let shown = parts("image").await;
    assert_eq!(
        shown,
        json!({ "text": "[image: image/png, 14 bytes]", "parts": [{ "__typename": "FilePart",
            "mimeType": "image/png", "bytes": 14, "data": STANDARD.encode(&image) }] })
    );
}
