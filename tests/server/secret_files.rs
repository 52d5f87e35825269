//! Secrets and keys as containers have them: in files and variables.

use crate::support::client::{Client, body};
use crate::support::process::{Process, program, run};
use serde_json::Value;

const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[tokio::test]
async fn the_database_is_the_one_that_a_file_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("url"), "sqlite://named.db\n").unwrap();
    let migrate = |path: &str| {
        let mut command = program(folder.path(), &["migrate"], &[]);
        command.env_remove("TALKGRAPH_STORE__URL");
        command.env("DATABASE_URL_FILE", path);
        command
    };
    let migrated = run(migrate("url")).await;
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    assert!(folder.path().join("named.db").exists());
    let refused = run(migrate("nowhere")).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("DATABASE_URL_FILE"),
        "{}",
        refused.stderr
    );
    assert!(
        !folder.path().join("data").exists(),
        "no other database was made"
    );
}

#[tokio::test]
async fn keys_come_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let json =
        format!(r#"[{{"name": "web", "tenant": "acme", "owner": "alice", "sha256": "{DIGEST}"}}]"#);
    let command = program(folder.path(), &[], &[("auth.keys", &json)]);
    let server = Process::serve(command).await;
    let status = async |key: Option<&str>| {
        let client = Client::new(&server.address, key);
        body(client.post("{ __typename }", &Value::Null)).await.0
    };
    assert_eq!(status(Some("hello")).await, 200);
    assert_eq!(status(None).await, 401);
}
