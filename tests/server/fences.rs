//! Servers that share a database and do not agree on who has a run.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::resume::check_log;
use crate::support::chaos::{Chaos, Network};
use crate::support::clock;
use crate::support::database::Database;
use crate::support::process::{Process, program};
use crate::support::sse::Events;
use crate::support::talk::{ended_run, events, follow, half_said, run_events, send};
use crate::support::upstream::{Script, Upstream};
use crate::support::wait::{eventually, soon};

/// Runs that are active when it happens.
const RUNS: usize = 20;

/// The words of a long answer, and the time between two of them.
const WORDS: usize = 400;
const PAUSE: Duration = Duration::from_millis(50);

fn url(db: &Database) -> &str {
    match db {
        Database::Postgres { url, .. } => url,
        Database::Sqlite(_) => panic!("no PostgreSQL"),
    }
}

/// The ends of all leases, on any node, by the run.
async fn leases(url: &str) -> Vec<(uuid::Uuid, uuid::Uuid, chrono::DateTime<chrono::Utc>)> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_as("SELECT id, node_id, lease_expires_at FROM runs ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

pub(crate) async fn a_clock_that_is_ahead_takes_no_runs(db: Arc<Database>) {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let base_url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", base_url.as_str()),
        ("store.url", url(&db)),
        ("runs.lease_s", "9"),
    ];
    let right = Process::serve(program(folder.path(), &[], &settings)).await;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        upstream.then(half_said());
        runs.push(send(&right.client(), None, "Count").await.1);
    }
    soon("all runs", upstream.wait_holding(RUNS)).await;
    let before = leases(url(&db)).await;

    let mut command = program(folder.path(), &[], &settings);
    clock::ahead(&mut command, folder.path(), 60);
    let ahead = Process::serve(command).await;
    // Its own lease is renewed twice: between the two it has looked for expired ones.
    upstream.then(half_said());
    send(&ahead.client(), None, "And here?").await;
    soon("its own run", upstream.wait_holding(RUNS + 1)).await;
    let its_lease = async || {
        let now = leases(url(&db)).await;
        now.into_iter()
            .find(|(id, ..)| before.iter().all(|(known, ..)| known != id))
    };
    let mut seen = its_lease().await.unwrap().2;
    for _ in 0..2 {
        seen = eventually("a renewed lease", async || {
            let (.., until) = its_lease().await?;
            (until > seen).then_some(until)
        })
        .await;
    }
    let log = ahead.log();
    assert!(
        log.contains("this machine's clock differs from the database's"),
        "{log}"
    );
    let after = leases(url(&db)).await;
    for (run, node, _) in &before {
        let now = after.iter().find(|(id, ..)| id == run).unwrap();
        assert_eq!(now.1, *node, "a run has gone to the other server");
    }
    upstream.release();
    for run in &runs {
        let ended = ended_run(&right.client(), run).await;
        assert_eq!(ended["status"], "COMPLETED", "{ended}");
    }
    assert_eq!(upstream.received().len(), RUNS + 1, "each was made once");
}

/// An answer that takes its time.
fn long() -> Script {
    let words = (0..WORDS).map(|number| format!("word{number} "));
    Script::tokens(words).paced(PAUSE)
}

pub(crate) async fn a_server_that_was_cut_off_gives_its_runs_up(db: Arc<Database>) {
    let (folder, upstream) = (
        TempDir::new().unwrap(),
        Upstream::answering(|_| Script::tokens(["short"])).await,
    );
    let chaos = Chaos::before(url(&db)).await;
    let base_url = upstream.base_url();
    let settings = |url| {
        [
            ("models.openai.base_url", base_url.as_str()),
            ("store.url", url),
            ("runs.lease_s", "1"),
            ("runs.probation_ms", "100"),
            ("store.connect_timeout_ms", "500"),
            ("store.statement_timeout_ms", "1000"),
        ]
    };
    let cut_off = Process::serve(program(folder.path(), &[], &settings(&chaos.url))).await;
    let (mut runs, mut streams): (Vec<String>, Vec<(_, Events)>) = Default::default();
    for _ in 0..RUNS {
        upstream.then(long());
        let (_, run) = send(&cut_off.client(), None, "Count").await;
        // A follower that has its first event no longer needs the database to be found.
        let mut stream = follow(&cut_off.client(), &run, 0).await;
        let first = soon("a first event", stream.next()).await.unwrap();
        streams.push((first, stream));
        runs.push(run);
    }
    soon("all runs", upstream.wait_received(RUNS)).await;
    chaos.set(Network::Stalled);
    let other = Process::serve(program(folder.path(), &[], &settings(url(&db)))).await;
    soon("all runs again", upstream.wait_received(2 * RUNS)).await;
    for run in &runs {
        let ended = ended_run(&other.client(), run).await;
        assert_eq!(ended["status"], "COMPLETED", "{ended}");
        assert_eq!(ended["output"]["text"], "short", "{ended}");
    }
    chaos.set(Network::Well);
    // It closes the calls of its models, and asks none again.
    soon("the calls' ends", upstream.wait_closed(RUNS)).await;
    for (run, (first, mut stream)) in runs.iter().zip(streams) {
        let mut seen = events(vec![first]);
        seen.extend(soon("the stream's end", events_to_end(&mut stream)).await);
        let log = run_events(&other.client(), run, 0).await;
        assert_eq!(seen, log, "those who follow it there are directed on");
        check_log(&log);
    }
    assert_eq!(upstream.received().len(), 2 * RUNS);
    let given_up = "another server has the run: it is given up here";
    let log = cut_off.log();
    assert_eq!(log.matches(given_up).count(), RUNS, "{log}");
}

async fn events_to_end(stream: &mut Events) -> Vec<serde_json::Value> {
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        seen.push(event);
    }
    events(seen)
}
