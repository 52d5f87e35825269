//! The size of a run's log.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::support::client::Client;
use crate::support::database::{Database, on_sqlite};
use crate::support::server::Setup;
use crate::support::talk::{ended_run, send};
use crate::support::upstream::Script;

const PIECES: usize = 6_000;

/// An answer whose pieces are one byte each.
fn in_bytes(count: usize) -> (String, Script) {
    let text: String = ('a'..='z').cycle().take(count).collect();
    let script = Script::tokens(text.chars().map(|letter| letter.to_string()));
    (text, script)
}

async fn log(client: &Client, run: &str, after: usize) -> Vec<Value> {
    let document = "subscription($run: ID!, $after: Int) { runEvents(runId: $run, after: $after) {
        __typename sequence at ... on TextDelta { delta firstSequence } } }";
    let variables = json!({ "run": run, "after": after });
    let events = client.events(document, &variables).await.rest().await;
    events
        .into_iter()
        .map(|mut event| event["data"]["runEvents"].take())
        .collect()
}

/// The bytes of all logs, and their rows.
async fn stored(db: &Database) -> (i64, i64) {
    let Database::Sqlite(folder) = db else {
        panic!("this needs SQLite");
    };
    let path = folder.path().join("server.db");
    let mut database = SqliteConnection::connect(&path.to_string_lossy())
        .await
        .unwrap();
    let bytes = "SELECT sum(length(events)), count(*) FROM run_events";
    sqlx::query_as(bytes)
        .fetch_one(&mut database)
        .await
        .unwrap()
}

/// A log of small pieces takes little more than what it says, and is read from any of them.
#[test]
fn small_pieces_are_stored_together() {
    on_sqlite(async |db: Arc<Database>| {
        let server = Setup::new().on(&db).start().await;
        let client = server.client();
        let (text, script) = in_bytes(PIECES);
        server.upstream.then(script);
        let (_, run) = send(&client, None, "Say much.").await;
        assert_eq!(ended_run(&client, &run).await["output"]["text"], text);
        let (bytes, rows) = stored(&db).await;
        // It was 110 bytes for each.
        assert!(bytes < 5 * PIECES as i64, "{bytes} bytes in {rows} rows");
        assert!(rows < 100, "{bytes} bytes in {rows} rows");

        let whole = log(&client, &run, 0).await;
        assert!(whole.len() > PIECES);
        for (event, sequence) in whole.iter().zip(1..) {
            assert_eq!(event["sequence"], sequence);
        }
        let said: String = whole
            .iter()
            .filter_map(|event| event["delta"].as_str())
            .collect();
        assert_eq!(said, text);
        for after in [
            1,
            2,
            3,
            500,
            1_023,
            1_024,
            1_025,
            1_777,
            5_000,
            PIECES,
            PIECES + 2,
        ] {
            assert_eq!(
                log(&client, &run, after).await,
                whole[after..],
                "after {after}"
            );
        }
    });
}

/// A run whose log grows too large fails with a code, and keeps what it has written.
#[test]
fn log_has_a_size() {
    on_sqlite(async |db: Arc<Database>| {
        for (setting, most) in [("runs.log_bytes", 20_000), ("runs.log_events", 800)] {
            let server = Setup::new().on(&db).set(setting, most).start().await;
            let client = server.client();
            let (text, script) = in_bytes(PIECES);
            server.upstream.then(script);
            let (_, run) = send(&client, None, "Say much.").await;
            let ended = ended_run(&client, &run).await;
            assert_eq!(ended["status"], "FAILED", "{ended}");
            assert_eq!(ended["error"]["code"], "ANSWER_TOO_LONG");
            let message = ended["error"]["message"].as_str().unwrap();
            assert!(message.contains(setting), "{message}");
            let kept = ended["output"]["text"].as_str().unwrap();
            assert!(
                text.starts_with(kept) && kept.len() > 500,
                "{} bytes",
                kept.len()
            );
            let log = log(&client, &run, 0).await;
            let said: String = log
                .iter()
                .filter_map(|event| event["delta"].as_str())
                .collect();
            assert_eq!(said, kept);
            assert_eq!(log.last().unwrap()["__typename"], "RunFailed");
            assert!(log.len() < 2_500, "{} events", log.len());
            server.stop().await;
        }
    });
}
