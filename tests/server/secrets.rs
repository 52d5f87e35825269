//! Secrets in every place where one can be, and all that the program says.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::any;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::pages::Pages;
use crate::support::process::{Process, program, run};
use crate::support::server::key_setting;
use crate::support::talk::{SEND, input};
use crate::support::wait::eventually;
use crate::tools::CALL;

/// In all of them.
const CANARY: &str = "sk-Canary-9xQ7zzPw";

/// A URL with a secret in each of its parts.
fn url(base: &str) -> String {
    format!("{base}/s/{CANARY}/mcp?key={CANARY}&{CANARY}#{CANARY}")
}

#[track_caller]
fn silent(what: &str, said: &str) {
    let line = said.lines().find(|line| line.contains("Canary"));
    assert_eq!(line, None, "{what}");
}

/// A command that must fail and not say why with a secret.
async fn refused(what: &str, command: Command) {
    let output = run(command).await;
    assert_ne!(output.code, 0, "{what}: {}", output.stdout);
    assert!(output.stderr.lines().count() >= 1, "{what}");
    silent(what, &output.stdout);
    silent(what, &output.stderr);
}

fn tools(orders: &str, mcp: &str) -> String {
    format!(
        "[telemetry]\nlog = \"trace\"\n\
         [models.openai]\napi_key = \"{CANARY}\"\napi_keys = [\"{CANARY}-2\"]\n\
         [[tools.http]]\nname = \"order\"\ndescription = \"Tells.\"\nmethod = \"GET\"\n\
         url = \"{orders}\"\nparameters = '{{\"type\": \"object\"}}'\n\
         headers = {{ authorization = \"Bearer {CANARY}\", x-key = {{ env = \"ORDER_KEY\" }} }}\n\
         [[tools.http]]\nname = \"gone\"\ndescription = \"Tells.\"\nmethod = \"POST\"\n\
         url = \"{gone}\"\nparameters = '{{\"type\": \"object\"}}'\nbody = '{{\"k\": \"{CANARY}\"}}'\n\
         [[tools.mcp]]\nname = \"far\"\nurl = \"{mcp}\"\n\
         headers = {{ authorization = \"Bearer {CANARY}\" }}\n\
         [[tools.mcp]]\nname = \"gone\"\nurl = \"{gone}\"\n\
         [[tools.mcp]]\nname = \"near\"\ncommand = \"sh\"\n\
         args = [\"-c\", \"echo near says $TOKEN $0 $1 >&2; exit 1\", \"{CANARY}-arg\", \"--key={CANARY}\"]\n\
         env = {{ TOKEN = \"{CANARY}\" }}\n",
        gone = url("http://127.0.0.1:9"),
    )
}

/// Servers that answer everything with an error that repeats the request's headers.
async fn repeating() -> Pages {
    let repeat = async |headers: HeaderMap| {
        let said = headers.values().map(|value| value.to_str().unwrap());
        let said: Vec<_> = said.collect();
        (
            StatusCode::BAD_REQUEST,
            format!("not with {}", said.join(", ")),
        )
    };
    Pages::serve(Router::new().fallback(any(repeat))).await
}

fn settings_file(folder: &Path, toml: &str) {
    std::fs::write(folder.join("talkgraph.toml"), toml).unwrap();
}

#[tokio::test]
async fn config_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let away = url("https://orders.example");
    settings_file(folder.path(), &tools(&away, &away));
    for store in [
        format!("postgres://me:{CANARY}@db.example/talk"),
        format!("postgres://me:1/{CANARY}@db.example/talk"),
        format!("postgres://db.example/talk?password={CANARY}"),
        format!("postgres://{CANARY}@db.example/talk#{CANARY}"),
        CANARY.to_owned(),
    ] {
        let settings = [
            ("store.url", store.as_str()),
            ("models.gemini.base_url", &away),
        ];
        let mut command = program(folder.path(), &["config"], &settings);
        command.env("ORDER_KEY", CANARY);
        let shown = run(command).await;
        assert_eq!(shown.code, 0, "{}", shown.stderr);
        silent("config", &shown.stdout);
        silent("config", &shown.stderr);
        assert!(
            shown
                .stdout
                .contains("https://orders.example/s/(hidden)/mcp?key=(hidden)")
        );
    }
}

/// Settings that stop the start, each with a secret in it.
fn bad_settings() -> Vec<(&'static str, String)> {
    let postgres = |rest: &str| format!("postgres://{rest}").replace('*', CANARY);
    vec![
        ("store.url", format!("mysql://me:{CANARY}@db/talk")),
        ("store.url", postgres("me:*@127.0.0.1:9/talk?password=*")),
        ("store.url", postgres("127.0.0.1:9/talk?sslmode=*")),
        ("store.url", postgres("127.0.0.1:9/talk?unknown=*")),
        ("store.url", postgres("me:*/@127.0.0.1:9/talk")),
        ("store.url", format!("sqlite://a.db?key={CANARY}")),
        ("store.url_file", CANARY.to_owned()),
        ("models.openai.base_url", url("http://[127")),
        (
            "models.openai.base_url",
            url(&format!("http://me:{CANARY}@127.0.0.1:9")),
        ),
        ("models.openai.api_key", format!("{CANARY}\u{7f}\n")),
        ("http.port", CANARY.to_owned()),
        ("auth.keys", CANARY.to_owned()),
    ]
}

/// Settings files that stop the start, each with a secret in it.
fn bad_files() -> Vec<String> {
    let tool = |rest: &str| {
        let tool = "[[tools.http]]\nname = \"x\"\ndescription = \"x\"\nmethod = \"GET\"\n\
            parameters = '{\"type\": \"object\"}'\n";
        format!("{tool}{rest}\n").replace('*', CANARY)
    };
    let (away, unread) = (url("http://127.0.0.1:9"), url("http://[127"));
    let with = |rest: &str| tool(&format!("url = \"{away}\"\n{rest}"));
    vec![
        tool(&format!("url = \"{unread}\"")),
        tool(&format!("url = \"{away}{{{{\"")),
        with("headers = { \"* x\" = \"a\" }"),
        with("headers = { a = \"*\\u007f\" }"),
        with("headers = { a = { env = \"*\" } }"),
        with("body = '{{ *'"),
        format!("[[tools.mcp]]\nname = \"x\"\nurl = \"{unread}\"\n"),
        format!("[models.openai]\napi_key = \"{CANARY}\n"),
        format!("[models.providers.x]\nkind = \"openai\"\napi_key_env = \"{CANARY}\"\n"),
    ]
}

#[tokio::test]
async fn no_start_that_fails_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    for (key, value) in bad_settings() {
        let settings = [("telemetry.log", "trace"), (key, &value)];
        let mut command = program(folder.path(), &[], &settings);
        if key == "store.url_file" {
            command.env_remove("TALKGRAPH_STORE__URL");
        }
        refused(&format!("{key} = {value}"), command).await;
    }
    for toml in bad_files() {
        settings_file(folder.path(), &toml);
        let command = program(folder.path(), &[], &[("telemetry.log", "trace")]);
        refused(&toml, command).await;
    }
    settings_file(folder.path(), "");
    let line = format!("OPENAI_API_KEY={CANARY} \"{CANARY}\n");
    std::fs::write(folder.path().join(".env"), line).unwrap();
    refused(".env", program(folder.path(), &[], &[])).await;
    std::fs::remove_file(folder.path().join(".env")).unwrap();
    let url = format!("postgres://me:{CANARY}@127.0.0.1:9/talk?password={CANARY}");
    for arguments in [&["migrate"][..], &["backup", "copy.db"]] {
        let command = program(folder.path(), arguments, &[("store.url", &url)]);
        refused("a command", command).await;
    }
}

/// Calls everything that fails, and gives all answers.
async fn answers(client: &Client, key: &str) -> String {
    let mut said = String::new();
    for tool in ["order", "gone", "far__x", "near__x"] {
        let input = json!({ "input": { "name": tool, "arguments": {} } });
        said += &client.response(CALL, &input).await.to_string();
    }
    said += &client.response(SEND, &input(None, "Hi")).await.to_string();
    said += &client
        .response("{ tools { name } server { version } }", &json!({}))
        .await
        .to_string();
    said += &client
        .at(client.address())
        .response("{ x }", &json!({}))
        .await
        .to_string();
    let stranger = Client::new(client.address(), Some(&format!("{key}-not")));
    said += &body(stranger.post("{ __typename }", &Value::Null))
        .await
        .1
        .to_string();
    let mut socket = client.socket().await;
    socket.close().await;
    said
}

#[tokio::test]
async fn a_server_at_trace_shows_no_secret() {
    let pages = repeating().await;
    let folder = tempfile::tempdir().unwrap();
    let key = format!("{CANARY}-key");
    let toml = tools(&url(&pages.url("")), &url(&pages.url("")))
        + &key_setting(&key, "acme", "alice")
        + "scopes = [\"tools:call\"]\n";
    settings_file(folder.path(), &toml);
    let away = format!("http://127.0.0.1:9/v1?key={CANARY}");
    let settings = [
        ("models.openai.base_url", away.as_str()),
        ("models.resilience.attempts", "1"),
        ("tools.mcp_start_timeout_ms", "2000"),
    ];
    for proxy in [None, Some(format!("http://me:{CANARY}@127.0.0.1:9"))] {
        let mut command = program(folder.path(), &[], &settings);
        command.env("ORDER_KEY", CANARY);
        if let Some(proxy) = &proxy {
            command.env("HTTP_PROXY", proxy).env("HTTPS_PROXY", proxy);
        }
        let server = Process::serve(command).await;
        let client = Client::new(&server.address, Some(&key));
        silent("an answer", &answers(&client, &key).await);
        for line in [
            "near says",
            "model provider unreachable",
            "tool call failed",
        ] {
            eventually(line, async || server.log().contains(line).then_some(())).await;
        }
        server.hang_up();
        eventually("the reload", async || {
            server.log().contains("reloaded").then_some(())
        })
        .await;
        silent("the log", &server.log());
        silent("the first lines", &server.said());
    }
}
