//! The contents of a server's log, as the programs that collect it read them.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::layers::each_source;
use crate::shutdown::process;
use crate::support::client::body;
use crate::support::logs::{Line, lines, saying};
use crate::support::process::{Process, program};
use crate::support::talk::{cancel, half_said, input, send};
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::eventually;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } run { id status } } }";

/// Chats in a request with an id. The ids of session and run.
async fn chat_as(process: &Process, request_id: &str) -> (String, String) {
    let request = process.client().post(CHAT, &input(None, "Hello"));
    let (_, answer) = body(request.header("x-request-id", request_id)).await;
    let chat = &answer["data"]["chat"];
    let id = |value: &Value| {
        value["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned()
    };
    (id(&chat["session"]), id(&chat["run"]))
}

/// The lines that say that a run has ended, once there are so many.
async fn ended(process: &Process, count: usize) -> Vec<Line> {
    eventually("the ends of runs in the log", async || {
        let ended = saying(&process.log(), "run ended");
        (ended.len() >= count).then_some(ended)
    })
    .await
}

#[tokio::test]
async fn each_run_that_ends_is_one_line_with_all_that_identifies_it() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = process(&folder, &upstream, &[]).await;
    upstream.then(Script::tokens(["Hi", " there"]));
    let (session, run) = chat_as(&process, "req-of-mine").await;
    let ended = ended(&process, 1).await;
    let [line] = &ended[..] else {
        panic!("{ended:?}")
    };
    for (field, value) in [
        ("level", "INFO"),
        ("run", &run),
        ("session", &session),
        ("tenant", "dev"),
        ("owner", "dev"),
        ("agent", "research"),
        ("request_id", "req-of-mine"),
        ("status", "COMPLETED"),
        ("finish_reason", "STOP"),
    ] {
        assert_eq!(line.text(field), value, "{field}: {line:?}");
    }
    assert!(line.text("model").starts_with("openai/"), "{line:?}");
    assert_eq!(
        (line.get("input_tokens"), line.get("output_tokens")),
        (&json!(7), &json!(3))
    );
    assert!(
        line.get("duration_ms").is_u64() && line.get("code").is_null(),
        "{line:?}"
    );
    assert_eq!(process.said(), "", "nothing but the log");
}

#[tokio::test]
async fn the_attempts_of_a_run_carry_its_ids_and_the_providers() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = process(&folder, &upstream, &[]).await;
    let error = json!({ "error": { "code": "server_error", "type": "x", "message": "no luck" } });
    let failed = Script::json(500, &error).header("x-request-id", "up-1");
    // Not one that a line could be forged with.
    let hidden = Script::json(500, &error).header("request-id", "up 2");
    let broken = Script::stream().header("request-id", "up-3").text(["Hi"]);
    for script in [failed, hidden, broken.event("{")] {
        upstream.then(script);
    }
    let (_, run) = chat_as(&process, "req-1").await;
    let end = ended(&process, 1).await.remove(0);
    assert_eq!(
        (end.text("status"), end.text("code")),
        ("FAILED", "PROVIDER_PROTOCOL")
    );

    let log = process.log();
    let attempts: Vec<_> = lines(&log)
        .into_iter()
        .filter(|line| !line.get("attempt").is_null())
        .collect();
    let said: Vec<_> = attempts
        .iter()
        .map(|line| {
            assert_eq!(line.text("run"), run, "{line:?}");
            assert_eq!(line.text("request_id"), "req-1", "{line:?}");
            (
                line.text("message"),
                line.get("attempt").as_u64().unwrap(),
                line.text("provider_request_id"),
            )
        })
        .collect();
    let (answered, again) = ("model provider returned an error", "retrying a model call");
    let unreadable = "unexpected JSON in a model's answer";
    assert_eq!(
        said,
        [
            (answered, 1, "up-1"),
            (again, 1, "up-1"),
            (answered, 2, ""),
            (again, 2, ""),
            (unreadable, 3, "up-3"),
        ],
        "{log}"
    );
    assert_eq!(attempts[0].text("reason"), "no luck");
    assert_eq!(attempts[0].text("provider_code"), "server_error");
    assert_eq!(attempts[1].text("code"), "PROVIDER_UNAVAILABLE");
}

#[tokio::test]
async fn a_run_that_is_stopped_or_taken_up_is_one_line_too() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut first = process(&folder, &upstream, &[]).await;
    upstream.then(half_said());
    let (_, stopped) = send(&first.client(), None, "Count").await;
    upstream.wait_holding(1).await;
    cancel(&first.client(), &stopped).await;
    let end = ended(&first, 1).await.remove(0);
    assert_eq!(
        (end.text("run"), end.text("status")),
        (stopped.as_str(), "CANCELLED")
    );

    upstream.then(half_said());
    let request = first.client().post(
        "mutation($input: ChatInput!) { sendMessage(input: $input) { run { id } } }",
        &input(None, "Count"),
    );
    let (_, started) = body(request.header("x-request-id", "req-before")).await;
    let run = started["data"]["sendMessage"]["run"]["id"]
        .as_str()
        .unwrap();
    upstream.wait_holding(2).await;
    first.kill();
    assert_eq!(first.exit_code().await, None);
    lines(&first.log());

    let second = process(&folder, &upstream, &[]).await;
    let end = ended(&second, 1).await.remove(0);
    assert_eq!(
        (end.text("run"), end.text("request_id")),
        (run, "req-before")
    );
    assert_eq!(end.text("agent"), "research");
    let taken_up = saying(&second.log(), "going on with a run whose server is gone");
    assert_eq!(taken_up[0].text("request_id"), "req-before");
}

#[tokio::test]
async fn why_a_server_does_not_start_is_a_line_too() {
    let folder = TempDir::new().unwrap();
    for setting in [("http.port", "abc"), ("store.url", "mysql://x")] {
        let command = program(folder.path(), &["serve"], &[setting]);
        let mut process = Process::spawn(command);
        assert_eq!(process.exit_code().await, Some(1));
        let log = eventually("the log", async || {
            Some(process.log()).filter(|log| log.ends_with('\n'))
        })
        .await;
        let lines = lines(&log);
        let last = lines.last().unwrap();
        assert!(last.text("error").contains(setting.0), "{log}");
        assert_eq!((last.text("level"), process.said().as_str()), ("ERROR", ""));
    }
}

/// Programs find an event by its `message`; a field of that name hides it.
#[test]
fn no_event_has_a_field_named_message() {
    let mut wrong = Vec::new();
    each_source(&mut |path, text| {
        for macro_ in [
            "error!(", "warn!(", "info!(", "debug!(", "trace!(", "span!(",
        ] {
            for (at, _) in text.match_indices(macro_) {
                let call = call(&text[at + macro_.len()..]);
                // A field is `message = x`, `%message`, `?message`, or the bare name.
                let mut words = call.split(|c: char| !c.is_alphanumeric() && c != '_');
                let mut unquoted = false;
                if words.any(|word| word == "message") {
                    let mut code = String::new();
                    for piece in call.split('"') {
                        unquoted = !unquoted;
                        if unquoted {
                            code.push_str(piece);
                        }
                    }
                    let code: String = code.split_whitespace().collect();
                    let named = |field: &str| {
                        field.starts_with("message=")
                            || ["message", "%message", "?message"].contains(&field)
                    };
                    if code.split(',').any(named) {
                        wrong.push(format!("{}: {call}", path.display()));
                    }
                }
            }
        }
    });
    assert_eq!(wrong, [""; 0]);
}

/// The arguments of a macro's call, as far as its closing parenthesis.
fn call(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return &text[..at],
            ')' => depth -= 1,
            _ => {}
        }
    }
    text
}
