//! Servers and databases of different releases, and servers that may not change the schema.

use std::sync::Arc;

use tempfile::TempDir;

use crate::support::database::Database;
use crate::support::process::{Process, program, run};
use crate::support::server::Setup;
use crate::support::talk::{chat, messages, string};
use crate::support::upstream::Upstream;

/// A role of PostgreSQL that may read and write rows, and nothing more.
pub(crate) async fn a_role_that_may_not_change_the_schema_serves(db: Arc<Database>) {
    let url = db.postgres_url().to_owned();
    let role = format!("talkgraph_test_role_{:x}", fastrand::u64(..));
    db.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'rows-only';
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         GRANT USAGE ON SCHEMA public TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await;
    let (_, place) = url.split_once('@').unwrap();
    let own = format!("postgres://{role}:rows-only@{place}");
    for migrate in [true, false] {
        let server = Setup::new()
            .on(&db)
            .set("store.url", &own)
            .set("store.migrate", migrate)
            .start()
            .await;
        let client = server.client();
        let answer = chat(&client, None, "Hello").await;
        assert_eq!(answer["message"]["text"], "echo 2: Hello", "{answer}");
        let session = string(&answer["session"]["id"]);
        assert_eq!(messages(&client, &session).await.len(), 2);
        let delete = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
        client
            .data(delete, &serde_json::json!({ "id": session }))
            .await;
        server.stop().await;
    }
    db.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

/// If something is to be migrated, the same role is refused in one line.
pub(crate) async fn a_role_that_may_not_migrate_is_told_so(db: Arc<Database>) {
    let folder = TempDir::new().unwrap();
    let settings = [("store.url", db.postgres_url()), ("store.migrate", "false")];
    let refused = run(program(folder.path(), &["serve"], &settings)).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let line = refused.stderr.lines().last().unwrap();
    assert!(line.contains("migrations are to be applied"), "{line}");
    assert!(line.contains("`talkgraph migrate`"), "{line}");
    let migrated = run(program(folder.path(), &["migrate"], &settings)).await;
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    Process::serve(program(folder.path(), &["serve"], &settings)).await;
}

#[tokio::test]
async fn a_server_that_may_not_migrate_makes_no_file() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let base_url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", &*base_url),
        ("store.migrate", "false"),
    ];
    let refused = run(program(folder.path(), &["serve"], &settings)).await;
    assert_eq!(refused.code, 1);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("`talkgraph migrate`"),
        "{}",
        refused.stderr
    );
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    let migrated = run(program(folder.path(), &["migrate"], &settings)).await;
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    let server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    let answer = chat(&server.client(), None, "Hello").await;
    assert_eq!(answer["message"]["text"], "echo 2: Hello");
}

/// The whole database is rewritten only while no server uses it.
#[tokio::test]
async fn a_database_is_compacted_at_rest() {
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let base_url = upstream.base_url();
    let settings = [("models.openai.base_url", &*base_url)];
    let mut server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    let answer = chat(&server.client(), None, "Hello").await;
    let session = string(&answer["session"]["id"]);
    let refused = run(program(folder.path(), &["compact"], &settings)).await;
    assert_eq!(refused.code, 1);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("stop the server first"),
        "{}",
        refused.stderr
    );
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0));
    let compacted = run(program(folder.path(), &["compact"], &settings)).await;
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    assert!(
        compacted.stdout.contains("bytes after"),
        "{}",
        compacted.stdout
    );
    let server = Process::serve(program(folder.path(), &["serve"], &settings)).await;
    assert_eq!(messages(&server.client(), &session).await.len(), 2);
}
