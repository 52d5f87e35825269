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
        FROM schema_releases WHERE version = 1";
    database.run_beside(record).await;
    let line = refusal(&database).await;
    assert!(
        line.contains("migrated by talkgraph 9.8.7")
            && line.contains(&format!("talkgraph {RELEASE},")),
        "{line}"
    );

    let compatible = "UPDATE schema_releases SET compatible_from = 1 WHERE version = 9999";
    database.run_beside(compatible).await;
    for migrate in [true, false] {
        database.try_open(migrate).await.unwrap().close().await;
    }
}

/// A process that dies before it has recorded its release leaves that to the next.
pub(crate) async fn a_release_is_recorded_once(database: Arc<Database>) {
    migrated(&database).await;
    database
        .run_beside("UPDATE schema_releases SET release = 'first' WHERE version = 1")
        .await;
    migrated(&database).await;
    let records = database
        .count("schema_releases WHERE version = 1 AND release = 'first'")
        .await;
    assert_eq!(records, 1, "it is not this release that has applied it");
    database
        .run_beside("DELETE FROM schema_releases WHERE version = 1")
        .await;
    migrated(&database).await;
    assert_eq!(database.count(&own_record()).await, 1);
}

fn own_record() -> String {
    format!("schema_releases WHERE version = 1 AND release = '{RELEASE}' AND compatible_from = 1")
}

pub(crate) async fn a_changed_migration_is_refused(database: Arc<Database>) {
    migrated(&database).await;
    database
        .run_beside("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1")
        .await;
    let line = refusal(&database).await;
    assert!(line.contains("migration 1 of"), "{line}");
    assert!(line.contains("different sources"), "{line}");
}

pub(crate) async fn an_unfinished_migration_is_refused(database: Arc<Database>) {
    migrated(&database).await;
    database
        .run_beside("UPDATE _sqlx_migrations SET success = false WHERE version = 1")
        .await;
    let line = refusal(&database).await;
    assert!(line.contains("1 was begun and has not finished"), "{line}");
}

/// Gives the database the record of a build from before the baseline, up to a migration.
async fn predate(database: &Database, last: i64) {
    let first = match database {
        Database::Sqlite(_) => {
            "4d23c60191351608b79bb0291f5af5e72d7678cbf899880d33828da279803704a8e885ac565da6985a97107044c56d33"
        }
        Database::Postgres { .. } => {
            "50fe9a084e243ec237140a07e6786993c9d1b60a06fd1a677823691e43d978ea14f9ddd74354b00e8a54e3ff32e01275"
        }
    };
    let talk = "UPDATE _sqlx_migrations SET description = 'talk', checksum = ";
    database.run_beside(&format!("{talk}x'{first}'")).await;
    let later = LATER.replace("9999", &last.to_string());
    database.run_beside(&later).await;
    let record = format!(
        "INSERT INTO schema_releases SELECT {last}, '0.0.1', 27, applied_at FROM schema_releases"
    );
    database.run_beside(&record).await;
    database
        .run_beside("DELETE FROM schema_releases WHERE version = 1")
        .await;
}

/// The last build before the baseline led to the same schema.
pub(crate) async fn a_database_from_before_the_baseline_is_adopted(database: Arc<Database>) {
    migrated(&database).await;
    predate(&database, 36).await;
    migrated(&database).await;
    assert_eq!(database.count("_sqlx_migrations").await, 1);
    assert_eq!(database.count("schema_releases").await, 1);
    assert_eq!(database.count(&own_record()).await, 1);
    database.try_open(false).await.unwrap().close().await;
}

pub(crate) async fn a_part_of_the_schema_before_the_baseline_is_refused(database: Arc<Database>) {
    migrated(&database).await;
    predate(&database, 35).await;
    let line = refusal(&database).await;
    assert!(line.contains("lacks migration 36"), "{line}");
}

pub(crate) async fn what_is_to_be_migrated_is_refused_where_it_may_not(database: Arc<Database>) {
    migrated(&database).await;
    database.try_open(false).await.unwrap().close().await;
    predate(&database, 36).await;
    let refused = database.try_open(false).await.err();
    let line = refused.expect("a refusal").to_string();
    assert!(
        line.contains("1 migrations are to be applied, from 1 on"),
        "{line}"
    );
    assert!(line.contains("`talkgraph migrate`"), "{line}");
    migrated(&database).await;
    database.try_open(false).await.unwrap().close().await;
}
