//! PostgreSQL behind a pooler in transaction mode.

use std::sync::Arc;

use futures_util::future::join_all;
use tempfile::TempDir;

use crate::support::database::Database;
use crate::support::process::{Process, program};
use crate::support::talk::{chat, messages};
use crate::support::upstream::{Script, Upstream};

/// Chats at one time, more than the pooler has connections.
const CHATS: usize = 20;

/// A pooler with its defaults, which refuses parameters of a session.
pub(crate) async fn servers_share_a_pooler(db: Arc<Database>) {
    let answer = |_: &_| Script::tokens(["so ", "it ", "is"]);
    let upstream = Upstream::answering(answer).await;
    let base_url = upstream.base_url();
    let settings = [
        ("models.openai.base_url", base_url.as_str()),
        ("store.url", db.postgres_url()),
    ];
    let folder = TempDir::new().unwrap();
    let mut first = Process::serve(program(folder.path(), &[], &settings)).await;
    let other = TempDir::new().unwrap();
    let second = Process::serve(program(other.path(), &[], &settings)).await;
    assert!(first.log().contains("pooler detected"), "{}", first.log());
    let clients = [first.client(), second.client()];
    let talk = async |at: usize| {
        let client = &clients[at % 2];
        let said = chat(client, None, "One").await;
        let session = said["session"]["id"].as_str().unwrap().to_owned();
        // The next turn is the other server's.
        chat(&clients[(at + 1) % 2], Some(&session), "Two").await;
        let told = [
            "USER: One",
            "ASSISTANT: so it is",
            "USER: Two",
            "ASSISTANT: so it is",
        ];
        assert_eq!(messages(client, &session).await, told);
    };
    join_all((0..CHATS).map(talk)).await;
    first.terminate();
    assert_eq!(first.exit_code().await, Some(0));
    // It migrates nothing any more.
    let again = Process::serve(program(folder.path(), &[], &settings)).await;
    chat(&again.client(), None, "Three").await;
}
