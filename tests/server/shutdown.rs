//! Stopping, and coming back.

use serde_json::json;
use talkgraph::app::Ended;
use tempfile::TempDir;

use crate::support::process::{Process, program};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    SEND, WHOLE, events, follow, half_said, input, messages, run, run_events, send,
};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// A server in a process of its own, with a provider, on a folder that outlives it.
pub(crate) async fn process(
    folder: &TempDir,
    upstream: &Upstream,
    settings: &[(&str, &str)],
) -> Process {
    let base_url = upstream.base_url();
    let mut all = vec![("models.openai.base_url", base_url.as_str())];
    all.extend(settings);
    Process::serve(program(folder.path(), &[], &all)).await
}

/// A process with a run that has said its first half.
pub(crate) async fn half_way(upstream: &Upstream, process: &Process) -> (String, String) {
    upstream.then(half_said());
    let client = process.client();
    let (session, id) = send(&client, None, "Count").await;
    upstream.wait_holding(1).await;
    eventually("what was said", async || {
        let last = run(&client, &id).await["lastSequence"].as_u64();
        last.filter(|last| *last >= 4)
    })
    .await;
    (session, id)
}

#[tokio::test]
async fn a_run_under_way_is_made_before_the_server_stops() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut process = process(&folder, &upstream, &[]).await;
    let (session, id) = half_way(&upstream, &process).await;
    let client = process.client();
    let watching = follow(&client, &id, 0).await;
    let mut socket = client.socket().await;

    process.terminate();

    // It still answers, but takes no more runs and says that it is not ready.
    eventually("readiness to end", async || {
        let ready = client.request(reqwest::Method::GET, "/health/ready");
        (ready.send().await.ok()?.status() == 503).then_some(())
    })
    .await;
    let refused = client.error(SEND, &input(None, "And me?")).await;
    assert_eq!(refused["extensions"]["code"], "UNAVAILABLE");
    assert_eq!(run(&client, &id).await["status"], "RUNNING");

    upstream.release();
    let seen = events(watching.rest().await);
    assert_eq!(seen.last().unwrap()["__typename"], "RunCompleted");
    socket.say(&json!({ "type": "pong" })).await;
    assert_eq!(socket.closed().await, 1012, "service restart");
    assert_eq!(process.exit_code().await, Some(0));

    let restarted = self::process(&folder, &upstream, &[]).await;
    let client = restarted.client();
    assert_eq!(run_events(&client, &id, 0).await, seen);
    let expected = ["USER: Count".to_owned(), format!("ASSISTANT: {WHOLE}")];
    assert_eq!(messages(&client, &session).await, expected);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut process = process(&folder, &upstream, &[]).await;
    half_way(&upstream, &process).await;
    let client = process.client();
    process.terminate();
    eventually("the first signal to be heard", async || {
        let ready = client.request(reqwest::Method::GET, "/health/ready");
        (ready.send().await.ok()?.status() == 503).then_some(())
    })
    .await;
    process.terminate();
    assert_eq!(process.exit_code().await, Some(130));
}

#[tokio::test]
async fn a_server_stops_with_idle_clients() {
    let server = TestServer::start().await;
    let client = server.client();
    let socket = client.socket().await;
    client.data("{ server { version } }", &json!({})).await;
    assert_eq!(server.stop().await, Ended::Drained);
    assert_eq!(socket.closed().await, 1012);
}

#[tokio::test]
async fn a_server_tells_how_many_runs_it_left() {
    let server = Setup::new().set("http.drain_timeout_ms", 50).start().await;
    let client = server.client();
    for text in ["a", "b"] {
        server.upstream.then(half_said());
        send(&client, None, text).await;
    }
    server.upstream.wait_holding(2).await;
    assert_eq!(server.stop().await, Ended::Left(2));
}

#[tokio::test]
async fn health_tells_what_is_there() {
    let server = TestServer::start().await;
    let request = server
        .client()
        .request(reqwest::Method::GET, "/health/ready");
    let (status, mut body) = crate::support::client::body(request).await;
    assert_eq!(status, 200);
    for age in [
        "oldestWriteMs",
        "lastCommitMs",
        "checkTookMs",
        "checkedMsAgo",
    ] {
        assert!(body[age].take().is_u64(), "{age}: {body}");
        body.as_object_mut().unwrap().remove(age);
    }
    let well = json!({ "ok": true });
    assert_eq!(
        body,
        json!({ "status": "ready", "serving": true, "database": true, "model": true,
            "parts": { "database": well, "writer": well, "tables": well,
                "tools": { "ok": true, "starting": [], "missing": [] } },
            "sockets": 0, "streams": 0 })
    );
}
