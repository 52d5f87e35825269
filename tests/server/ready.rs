//! Readiness: whether a run that is started now would be kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shutdown::process;
use crate::support::client::{Client, body};
use crate::support::database::Database;
use crate::support::logs::saying;
use crate::support::outage::{Outage, heedless};
use crate::support::process::{Process, program};
use crate::support::talk::{SEND, half_said, input, messages, send};
use crate::support::upstream::Upstream;
use crate::support::wait::eventually;

/// Short waits, so that each outage shows soon.
const SETTINGS: [(&str, &str); 5] = [
    ("store.connect_timeout_ms", "500"),
    ("store.statement_timeout_ms", "1000"),
    ("store.acquire_timeout_ms", "500"),
    ("store.sqlite_busy_timeout_ms", "200"),
    ("http.ready_timeout_ms", "1500"),
];

/// The response of `/health/ready`.
async fn readiness(client: &Client) -> (u16, Value) {
    body(client.request(reqwest::Method::GET, "/health/ready")).await
}

/// Waits until a part is not well; why it is not.
async fn ill(client: &Client, part: &str) -> String {
    eventually(part, async || {
        let (status, said) = readiness(client).await;
        let part = &said["parts"][part];
        let is_ill = status == 503 && part["ok"] == false && said["database"] == false;
        is_ill.then(|| part["reason"].as_str().unwrap().to_owned())
    })
    .await
}

async fn well(client: &Client) {
    eventually("readiness", async || {
        let (status, _) = readiness(client).await;
        (status == 200).then_some(())
    })
    .await;
}

/// A start is refused, with a code.
async fn refused(client: &Client) {
    let error = client.error(SEND, &input(None, "And me?")).await;
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("database is unavailable"), "{message}");
}

/// Starts runs one after the other until `stop`; returns the sessions of the acknowledged
/// ones.
fn starts(
    client: Client,
    stop: Arc<std::sync::atomic::AtomicBool>,
) -> tokio::task::JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = client.response(SEND, &input(None, "Keep me")).await;
            if let Some(id) = answer["data"]["sendMessage"]["session"]["id"].as_str() {
                acknowledged.push(id.to_owned());
            }
        }
        acknowledged
    })
}

async fn server(folder: &TempDir, upstream: &Upstream, url: Option<&str>) -> Process {
    let base_url = upstream.base_url();
    let mut settings = vec![("models.openai.base_url", base_url.as_str())];
    settings.extend(SETTINGS);
    settings.extend(url.map(|url| ("store.url", url)));
    Process::serve(heedless(&program(folder.path(), &[], &settings))).await
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("talkgraph.db")
}

fn moved(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

#[tokio::test]
async fn a_database_file_that_is_gone_keeps_nothing_it_does_not_have() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut process = server(&folder, &upstream, None).await;
    let client = process.client();
    well(&client).await;
    let stop = Arc::default();
    let starting = starts(client.clone(), Arc::clone(&stop));
    eventually("starts", async || {
        (upstream.received().len() > 5).then_some(())
    })
    .await;
    let (path, away) = (database(&folder), folder.path().join("away.db"));
    moved(&path, &away);
    refused_soon(&client).await;
    assert_eq!(ill(&client, "writer").await, "DATABASE_FILE_GONE");
    refused(&client).await;

    // Another file is not the one that is open.
    std::fs::copy(&away, &path).unwrap();
    assert_eq!(ill(&client, "writer").await, "DATABASE_FILE_GONE");
    refused(&client).await;
    std::fs::remove_file(&path).unwrap();

    moved(&away, &path);
    well(&client).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let acknowledged = starting.await.unwrap();
    assert!(acknowledged.len() > 5);
    process.kill();
    assert_eq!(process.exit_code().await, None);
    let restarted = server(&folder, &upstream, None).await;
    for session in acknowledged {
        let kept = messages(&restarted.client(), &session).await;
        assert_eq!(kept[0], "USER: Keep me", "{kept:?}");
    }
}

async fn refused_soon(client: &Client) {
    eventually("a refusal", async || {
        let answer = client.response(SEND, &input(None, "And me?")).await;
        (answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE").then_some(())
    })
    .await;
}

/// Nothing but the heartbeat finds it: no client writes.
async fn is_found_and_mended(process: &Process, mut outage: Outage) {
    let client = process.client();
    well(&client).await;
    outage.begin().await;
    let reason = ill(&client, "writer").await;
    assert!(["FAILED", "TIMEOUT"].contains(&&*reason), "{reason}");
    refused(&client).await;
    outage.end().await;
    well(&client).await;
    let (session, _) = send(&client, None, "And me?").await;
    assert_eq!(messages(&client, &session).await[0], "USER: And me?");
}

#[tokio::test]
async fn a_full_disk_is_not_ready() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = server(&folder, &upstream, None).await;
    let outage = Outage::Full {
        process: process.id(),
    };
    is_found_and_mended(&process, outage).await;
}

#[tokio::test]
async fn a_database_that_another_process_locks_is_not_ready() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = server(&folder, &upstream, None).await;
    is_found_and_mended(&process, Outage::locked(&database(&folder))).await;
}

pub(crate) async fn a_locked_table_is_not_ready(db: Arc<Database>) {
    let Database::Postgres { url, .. } = &*db else {
        panic!("no PostgreSQL");
    };
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = server(&folder, &upstream, Some(url)).await;
    let client = process.client();
    well(&client).await;
    let lock = db.hold("LOCK TABLE sessions".to_owned()).await;
    assert_eq!(ill(&client, "tables").await, "FAILED");
    drop(lock);
    well(&client).await;
    send(&client, None, "And me?").await;
}

pub(crate) async fn a_read_only_database_is_not_ready(db: Arc<Database>) {
    let Database::Postgres { url, .. } = &*db else {
        panic!("no PostgreSQL");
    };
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = server(&folder, &upstream, Some(url)).await;
    let client = process.client();
    well(&client).await;
    let set = |value: &str| {
        format!(
            "BEGIN READ WRITE; DO $$ BEGIN EXECUTE format(
               'ALTER DATABASE %I SET default_transaction_read_only = {value}',
               current_database()); END $$; COMMIT"
        )
    };
    db.execute(&set("on")).await;
    // Those that are connected would write on.
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    assert_eq!(ill(&client, "writer").await, "FAILED");
    refused(&client).await;
    db.execute(&set("off")).await;
    well(&client).await;
    let (session, _) = send(&client, None, "And me?").await;
    assert_eq!(messages(&client, &session).await[0], "USER: And me?");
    // What writes without the writer writes again, too.
    let document = "mutation { createSession(input: {}) { session { id } } }";
    eventually("a session", async || {
        let created = client.response(document, &json!({})).await;
        created["data"]["createSession"]["session"]["id"]
            .as_str()
            .map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_two_lines_however_many_runs_meet_it() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let process = server(&folder, &upstream, None).await;
    let client = process.client();
    let mut runs = Vec::new();
    for count in 1..=3 {
        upstream.then(half_said());
        runs.push(send(&client, None, "Count").await.1);
        upstream.wait_holding(count).await;
    }
    let mut outage = Outage::Full {
        process: process.id(),
    };
    outage.begin().await;
    upstream.release();
    for _ in 0..5 {
        refused(&client).await;
    }
    outage.end().await;
    for run in &runs {
        crate::support::talk::ended_run(&client, run).await;
    }
    let log = process.log();
    let said = |message| saying(&log, message).len();
    assert_eq!(said("database unavailable"), 1, "{log}");
    assert_eq!(said("database available again"), 1, "{log}");
    let lines = crate::support::logs::lines(&log);
    let loud: Vec<_> = lines
        .iter()
        .filter(|line| line.text("level") != "INFO")
        .filter(|line| !line.text("message").starts_with("database "))
        .filter(|line| line.text("message") != "checkpoint failed")
        // Of the machine and of the model, and not of the outage.
        .filter(|line| !line.text("message").starts_with("open files limit below"))
        .filter(|line| !line.text("message").starts_with("model parameters unsupported"))
        .collect();
    assert!(loud.is_empty(), "{loud:?}");
    assert!(said("checkpoint failed") <= 5, "{log}");
}

#[tokio::test]
async fn everything_is_served_between_the_signal_and_the_end_of_the_delay() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let delay = [("http.shutdown_delay_ms", "2000")];
    let mut process = process(&folder, &upstream, &delay).await;
    let client = process.client();
    process.terminate();
    eventually("readiness to end", async || {
        (readiness(&client).await.0 == 503).then_some(())
    })
    .await;
    let (session, _) = send(&client, None, "And me?").await;
    assert_eq!(messages(&client, &session).await[0], "USER: And me?");
    assert_eq!(process.exit_code().await, Some(0));
}
