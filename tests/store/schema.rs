//! Changes of a database's schema when a store is opened.

use std::sync::Arc;

use talkgraph_store::StoreError;

use crate::support::database::Database;

const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// A migration that no release here knows.
const LATER: &str = "INSERT INTO _sqlx_migrations
    (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, x'00', 0)";

async fn refusal(database: &Database) -> String {
    match database.try_open(true).await {
        Err(StoreError::Internal(line)) => {
            assert_eq!(line.lines().count(), 1, "{line}");
            line
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn migrated(database: &Database) {
    database.open().await.close().await;
}

/// A release says with each migration which others can serve the database after it.
pub(crate) async fn a_newer_database_is_served_if_it_says_so(database: Arc<Database>) {
    migrated(&database).await;
    database.run_beside(LATER).await;
    let line = refusal(&database).await;
    assert!(line.contains("no release has recorded"), "{line}");

    let record = "INSERT INTO schema_releases SELECT 9999, '9.8.7', 9999, applied_at
        FROM schema_releases WHERE version = 33";
    database.run_beside(record).await;
    let line = refusal(&database).await;
    assert!(
        line.contains("made by talkgraph 9.8.7") && line.contains(&format!("talkgraph {RELEASE},")),
        "{line}"
    );

    let compatible = "UPDATE schema_releases SET compatible_from = 33 WHERE version = 9999";
    database.run_beside(compatible).await;
    for migrate in [true, false] {
        database.try_open(migrate).await.unwrap().close().await;
    }
}

/// A process that dies before it has recorded its release leaves that to the next.
pub(crate) async fn a_release_is_recorded_once(database: Arc<Database>) {
    migrated(&database).await;
    database
        .run_beside("UPDATE schema_releases SET release = 'first' WHERE version = 32")
        .await;
    database
        .run_beside("DELETE FROM schema_releases WHERE version = 33")
        .await;
    migrated(&database).await;
    let records = database
        .count("schema_releases WHERE version = 32 AND release = 'first'")
        .await;
    assert_eq!(records, 1, "it is not this release that has applied it");
    let own = format!(
        "schema_releases WHERE version = 33 AND release = '{RELEASE}' AND compatible_from = 27"
    );
    assert_eq!(database.count(&own).await, 1);
}

pub(crate) async fn a_changed_migration_is_refused(database: Arc<Database>) {
    migrated(&database).await;
    database
        .run_beside("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 25")
        .await;
    let line = refusal(&database).await;
    assert!(line.contains("migration 25"), "{line}");
    assert!(line.contains("different sources"), "{line}");
}

pub(crate) async fn an_unfinished_migration_is_refused(database: Arc<Database>) {
    migrated(&database).await;
    database
        .run_beside("UPDATE _sqlx_migrations SET success = false WHERE version = 33")
        .await;
    let line = refusal(&database).await;
    assert!(line.contains("33 was begun and has not finished"), "{line}");
}

pub(crate) async fn what_is_to_be_migrated_is_refused_where_it_may_not(database: Arc<Database>) {
    migrated(&database).await;
    database.try_open(false).await.unwrap().close().await;
    database
        .run_beside("DELETE FROM _sqlx_migrations WHERE version = 33")
        .await;
    database.run_beside("DROP TABLE schema_releases").await;
    let refused = database.try_open(false).await.err();
    let line = refused.expect("a refusal").to_string();
    assert!(
        line.contains("1 migrations are to be applied, from 33 on"),
        "{line}"
    );
    assert!(line.contains("`talkgraph migrate`"), "{line}");
    migrated(&database).await;
    database.try_open(false).await.unwrap().close().await;
}
