//! How many SQL statements a page costs, whatever is on it. In a program of its own, because
//! statements are counted for the whole process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use support::client::Client;
use support::database::{Database, on_postgres, on_sqlite};
use support::server::Setup;
use support::talk::{chat, ended_run, half_said, send};

const SESSIONS: usize = 50;

/// The statements since it was last emptied.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes every statement that sqlx runs.
struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            let mut text = Text::default();
            event.record(&mut text);
            // A pool that opens one more connection is no part of what a page costs.
            if !text.0.contains("PRAGMA") {
                lock(&SEEN).push(text.0);
            }
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if ["summary", "db.statement"].contains(&field.name()) {
            write!(self.0, "{value:?} ").unwrap();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One test at a time, with the statements noted.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    static NOTING: OnceLock<()> = OnceLock::new();
    NOTING.get_or_init(|| tracing_subscriber::registry().with(Statements).init());
    lock(&ONE)
}

/// The answer and the statements of a query. It is asked twice, and counted the second time:
/// what a server does once it starts is not part of a page.
async fn counted(client: &Client, document: &str) -> (Value, Vec<String>) {
    client.data(document, &json!({})).await;
    lock(&SEEN).clear();
    let data = client.data(document, &json!({})).await;
    (data, std::mem::take(&mut *lock(&SEEN)))
}

/// A server with 50 sessions of 4 messages and more; two of them are being answered.
async fn scene(db: Arc<Database>) -> (support::server::TestServer, Vec<String>) {
    let setup = Setup::new()
        .on(&db)
        .set("runs.lease_s", 3_600)
        .set("limits.query_aliases", SESSIONS)
        .set("limits.query_root_fields", SESSIONS);
    let server = setup.start().await;
    let client = server.client();
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let first = chat(&client, None, &format!("Question {number}")).await;
        let session = first["session"]["id"].as_str().unwrap().to_owned();
        chat(&client, Some(&session), "And?").await;
        sessions.push(session);
    }
    for session in &sessions[..2] {
        server.upstream.then(half_said());
        send(&client, Some(session), "Now?").await;
    }
    server.upstream.wait_holding(2).await;
    (server, sessions)
}

const SESSION: &str = "id title agent { name model } activeRun { id status model lastSequence }
    messages(last: 20) { nodes { id role text } }";

fn check(sessions: &[&Value]) {
    assert_eq!(sessions.len(), SESSIONS);
    let messages = |session: &&Value| session["messages"]["nodes"].as_array().unwrap().len();
    assert_eq!(
        sessions.iter().map(messages).sum::<usize>(),
        SESSIONS * 4 + 2
    );
    let active = sessions
        .iter()
        .filter(|session| session["activeRun"]["status"] == "RUNNING");
    assert_eq!(active.count(), 2);
}

async fn a_page_of_sessions(db: Arc<Database>) {
    let (server, _) = scene(db).await;
    let document = format!("{{ sessions(first: {SESSIONS}) {{ nodes {{ {SESSION} }} }} }}");
    let (data, statements) = counted(&server.client(), &document).await;
    check(
        &data["sessions"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .collect::<Vec<_>>(),
    );
    check_count(&statements, 4);

    // What a client needs to open a chat is of the session's own statement.
    let brief = SESSION.replace("{ id status model lastSequence }", "{ id lastSequence }");
    let document = format!("{{ sessions(first: {SESSIONS}) {{ nodes {{ {brief} }} }} }}");
    let (data, statements) = counted(&server.client(), &document).await;
    let nodes = data["sessions"]["nodes"].as_array().unwrap();
    let active = nodes
        .iter()
        .filter(|node| node["activeRun"]["lastSequence"] == 4);
    assert_eq!(active.count(), 2);
    assert_eq!(statements.len(), 3, "{statements:#?}");

    // A level deeper, one statement more.
    let deeper = document.replace("lastSequence }", "lastSequence agent { name } }");
    let (_, statements) = counted(&server.client(), &deeper).await;
    check_count(&statements, 5);
}

async fn a_page_with_siblings(db: Arc<Database>) {
    let (server, sessions) = scene(db).await;
    let client = server.client();
    let answered = sessions.last().unwrap();
    let last = "query($id: ID!) { session(id: $id) { head { id } } }";
    let data = client.data(last, &json!({ "id": answered })).await;
    let regenerate = "mutation($id: ID!) { regenerate(input: { messageId: $id }) { run { id } } }";
    let head = json!({ "id": data["session"]["head"]["id"] });
    let started = client.data(regenerate, &head).await;
    ended_run(
        &client,
        started["regenerate"]["run"]["id"].as_str().unwrap(),
    )
    .await;

    let with_siblings = SESSION.replace("role text", "parent { id } siblings { id }");
    let document = format!("{{ sessions(first: 10) {{ nodes {{ {with_siblings} }} }} }}");
    let (data, statements) = counted(&client, &document).await;
    let sessions = data["sessions"]["nodes"].as_array().unwrap().iter();
    let messages = sessions.flat_map(|session| session["messages"]["nodes"].as_array().unwrap());
    let siblings: Vec<_> = messages
        .map(|message| message["siblings"].as_array().unwrap().len())
        .collect();
    assert!(siblings.len() >= 40, "{data}");
    assert_eq!(siblings.iter().filter(|count| **count == 2).count(), 1);
    assert_eq!(siblings.iter().sum::<usize>(), siblings.len() + 1);
    check_count(&statements, 5);
}

async fn sessions_one_by_one(db: Arc<Database>) {
    let (server, sessions) = scene(db).await;
    let mut document = String::new();
    for (number, id) in sessions.iter().enumerate() {
        write!(
            document,
            "s{number}: session(id: \"{id}\") {{ {SESSION} }} "
        )
        .unwrap();
    }
    let (data, statements) = counted(&server.client(), &format!("{{ {document} }}")).await;
    check(&data.as_object().unwrap().values().collect::<Vec<_>>());
    check_count(&statements, 4);
}

/// Sessions, agents, active runs, messages.
fn check_count(statements: &[String], most: usize) {
    // Fewer would mean that they are not seen.
    assert!(
        (4..=most).contains(&statements.len()),
        "{}: {statements:#?}",
        statements.len()
    );
}

#[test]
fn a_page_of_sessions_costs_four_statements_on_sqlite() {
    let _alone = alone();
    on_sqlite(a_page_of_sessions);
}

#[test]
fn a_page_of_sessions_costs_four_statements_on_postgres() {
    let _alone = alone();
    on_postgres(a_page_of_sessions);
}

#[test]
fn siblings_cost_one_statement_more_on_sqlite() {
    let _alone = alone();
    on_sqlite(a_page_with_siblings);
}

#[test]
fn siblings_cost_one_statement_more_on_postgres() {
    let _alone = alone();
    on_postgres(a_page_with_siblings);
}

#[test]
fn sessions_one_by_one_cost_four_statements_on_sqlite() {
    let _alone = alone();
    on_sqlite(sessions_one_by_one);
}

#[test]
fn sessions_one_by_one_cost_four_statements_on_postgres() {
    let _alone = alone();
    on_postgres(sessions_one_by_one);
}
