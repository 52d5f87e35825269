//! Servers with much to take up.

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use std::time::Duration;
use tempfile::TempDir;

use crate::support::process::{Process, program};
use crate::support::talk::{half_said, send};
use crate::support::upstream::Upstream;
use crate::support::wait::{eventually, soon};

/// More than are taken up at once.
const MANY: usize = 120;

/// Long enough for somebody who never rests to write again.
const MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_server_that_has_taken_up_many_runs_comes_to_rest() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let base_url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", base_url.as_str()),
        ("runs.probation_ms", "100"),
    ];
    let mut process = Process::serve(program(folder.path(), &[], &settings)).await;
    let client = process.client();
    for number in 0..MANY {
        upstream.then(half_said());
        upstream.then(half_said());
        send(&client, None, &format!("number {number}")).await;
    }
    soon("all runs", upstream.wait_holding(MANY)).await;
    process.kill();
    assert_eq!(process.exit_code().await, None);

    let process = Process::serve(program(folder.path(), &[], &settings)).await;
    soon("all runs again", upstream.wait_holding(2 * MANY)).await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("talkgraph.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    // It changes when others have written.
    let mut version = async || -> i64 {
        let version = sqlx::query_scalar("PRAGMA data_version");
        version.fetch_one(&mut connection).await.unwrap()
    };
    eventually("a moment without a write", async || {
        let before = version().await;
        tokio::time::sleep(MOMENT).await;
        (version().await == before).then_some(())
    })
    .await;

    upstream.release();
    let document = "{ sessions(first: 100) { nodes { activeRun { id } } } }";
    let client = process.client();
    eventually("all runs' ends", async || {
        let data = client.data(document, &json!({})).await;
        let nodes = data["sessions"]["nodes"].as_array().unwrap();
        nodes
            .iter()
            .all(|node| node["activeRun"].is_null())
            .then_some(())
    })
    .await;
}
