//! Sending the same thing again: one key, one run.

use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use serde_json::{Value, json};
use talkgraph_domain::Principal;
use talkgraph_store::SharedStore;

use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{
    SEND, WHOLE, all, chat, chat_subscription, create_session, ended_run, events, half_said, input,
    messages, run_events, send, string,
};
use crate::support::wait::eventually;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } userMessage { id } message { id text } run { id status } } }";

const FOLLOW: &str = "subscription($input: ChatInput!) { chat(input: $input) {
    __typename sequence run { id } } }";

/// The variables of a start under the key `k`.
fn keyed(session: Option<&str>, text: &str) -> Value {
    let mut variables = input(session, text);
    variables["input"]["idempotencyKey"] = "k".into();
    variables
}

/// `sendMessage`: the run's id.
async fn start(client: &Client, variables: &Value) -> String {
    let data = client.data(SEND, variables).await;
    string(&data["sendMessage"]["run"]["id"])
}

async fn check_reused(client: &Client, document: &str, variables: &Value) {
    let error = client.error(document, variables).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "CONFLICT", "field": "input.idempotencyKey" }),
        "{error}"
    );
}

pub(crate) async fn the_same_start_gives_the_first_result(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let variables = keyed(None, "Hello");
    let first = client.data(CHAT, &variables).await;
    let session = string(&first["chat"]["session"]["id"]);
    let run = string(&first["chat"]["run"]["id"]);
    assert_eq!(client.data(CHAT, &variables).await, first);
    assert_eq!(start(&client, &variables).await, run);
    let log = run_events(&client, &run, 0).await;
    let followed = client.events(&chat_subscription(), &variables).await;
    assert_eq!(events(followed.rest().await), log);
    // The session may have gone on.
    chat(&client, Some(&session), "More").await;
    assert_eq!(client.data(CHAT, &variables).await, first);
    assert_eq!(server.upstream.received().len(), 2);
    assert_eq!(messages(&client, &session).await.len(), 4);

    // A server that was started anew knows it, too.
    server.stop().await;
    let server = Setup::new().on(&db).start().await;
    assert_eq!(server.client().data(CHAT, &variables).await, first);
    assert_eq!(server.upstream.received().len(), 0);
}

pub(crate) async fn a_start_under_way_is_joined(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let session = create_session(&client).await;
    let variables = keyed(Some(&session), "Count");
    let run = start(&client, &variables).await;
    server.upstream.wait_holding(1).await;

    assert_eq!(start(&client, &variables).await, run);
    let mut stream = client.events(&chat_subscription(), &variables).await;
    let mut seen = Vec::new();
    while all(&seen, "delta").last() != Some(&&json!("two ")) {
        seen.push(events(vec![stream.next().await.unwrap()]).remove(0));
    }
    let (waiting, document) = (client.clone(), variables.clone());
    let asking = tokio::spawn(async move { waiting.data(CHAT, &document).await });
    server.upstream.release();
    let answer = asking.await.unwrap();
    seen.extend(events(stream.rest().await));

    assert_eq!(
        answer["chat"]["run"],
        json!({ "id": run, "status": "COMPLETED" })
    );
    assert_eq!(answer["chat"]["message"]["text"], WHOLE);
    assert_eq!(run_events(&client, &run, 0).await, seen);
    assert_eq!(server.upstream.received().len(), 1);
    let said = ["USER: Count".to_owned(), format!("ASSISTANT: {WHOLE}")];
    assert_eq!(messages(&client, &session).await, said);
}

/// Fifty at two servers, and no more room than for one run at each.
pub(crate) async fn fifty_at_once_are_one(db: Arc<Database>) {
    let setup = || Setup::new().set("runs.active", 1).set("runs.queued", 0);
    let servers = [setup().on(&db).start().await, setup().on(&db).start().await];
    let clients = servers.each_ref().map(|server| server.client());
    let variables = keyed(None, "Hello");
    let ask = async |n: usize| {
        let client = &clients[n % 2];
        match n % 5 {
            0 => string(&client.data(CHAT, &variables).await["chat"]["run"]["id"]),
            1 => {
                let stream = client.events(FOLLOW, &variables).await;
                let seen = events(stream.rest().await);
                assert_eq!(seen.last().unwrap()["__typename"], "RunCompleted");
                assert_eq!(seen[0]["sequence"], 1);
                string(&seen[0]["run"]["id"])
            }
            _ => start(client, &variables).await,
        }
    };
    let runs = join_all((0..50).map(ask)).await;
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    ended_run(&clients[0], &runs[0]).await;
    let calls = servers
        .iter()
        .map(|server| server.upstream.received().len());
    assert_eq!(calls.sum::<usize>(), 1);
    let data = clients[0]
        .data("{ sessions { nodes { id } } }", &json!({}))
        .await;
    assert_eq!(data["sessions"]["nodes"].as_array().unwrap().len(), 1);
}

pub(crate) async fn a_key_stands_for_one_input(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let session = create_session(&client).await;
    let variables = keyed(Some(&session), "Hello");
    let first = client.data(CHAT, &variables).await;
    check_reused(&client, SEND, &keyed(Some(&session), "Hello!")).await;
    check_reused(&client, SEND, &keyed(None, "Hello")).await;
    for (field, value) in [("agent", "research"), ("onActiveRun", "INTERRUPT")] {
        let mut other = variables.clone();
        other["input"][field] = value.into();
        check_reused(&client, SEND, &other).await;
    }
    assert_eq!(client.data(CHAT, &variables).await, first);
    assert_eq!(messages(&client, &session).await.len(), 2);
}

pub(crate) async fn a_key_belongs_to_one_owner(db: Arc<Database>) {
    let setup = Setup::new().key("key-of-ann", "acme", "ann");
    let setup = setup.key("key-of-bob", "acme", "bob");
    let server = setup.on(&db).start().await;
    let ann = start(&server.client_with("key-of-ann"), &keyed(None, "Hello")).await;
    let bob = start(&server.client_with("key-of-bob"), &keyed(None, "Hi")).await;
    assert_ne!(ann, bob);
}

pub(crate) async fn a_refused_start_leaves_its_key_free(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, active) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let error = client.error(SEND, &keyed(Some(&session), "And?")).await;
    assert_eq!(error["extensions"]["runId"], active);
    server.upstream.release();
    ended_run(&client, &active).await;
    start(&client, &keyed(Some(&session), "Something else")).await;
}

pub(crate) async fn a_key_is_forgotten_after_its_time(db: Arc<Database>) {
    let setup = Setup::new().set("runs.idempotency_ttl_s", 1);
    let server = setup.on(&db).start().await;
    let client = server.client();
    let first = start(&client, &keyed(None, "Hello")).await;
    eventually("another run", async || {
        let again = start(&client, &keyed(None, "Hello")).await;
        (again != first).then_some(())
    })
    .await;
}

pub(crate) async fn expired_keys_are_removed(db: Arc<Database>) {
    let store = Arc::new(OnceLock::<SharedStore>::new());
    let slot = Arc::clone(&store);
    let setup = Setup::new()
        .set("runs.idempotency_ttl_s", 3)
        .set("runs.lease_s", 1)
        .around(move |store| Arc::clone(slot.get_or_init(|| store)));
    let server = setup.on(&db).start().await;
    start(&server.client(), &keyed(None, "Hello")).await;
    let who = Principal::development();
    // Asked as of then, so that only its removal can hide it.
    let kept = async || {
        let kept = store
            .get()
            .unwrap()
            .kept_key(&who, "k", chrono::TimeDelta::seconds(-60))
            .await;
        kept.unwrap()
    };
    assert!(kept().await.is_some());
    eventually("the key to be removed", async || {
        kept().await.is_none().then_some(())
    })
    .await;
}

pub(crate) async fn what_was_deleted_is_not_started_again(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let answer = client.data(CHAT, &keyed(None, "Hello")).await;
    let document = "mutation($id: ID!) { deleteSession(id: $id) { deletedSessionId } }";
    let session = &answer["chat"]["session"]["id"];
    client.data(document, &json!({ "id": session })).await;
    let error = client.error(SEND, &keyed(None, "Hello")).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "NOT_FOUND", "field": "input.idempotencyKey" })
    );
    assert_eq!(server.upstream.received().len(), 1);
}

pub(crate) async fn a_branch_begins_once(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let first = chat(&client, None, "Hello").await;
    let session = string(&first["session"]["id"]);
    let regenerate = "mutation($id: ID!, $key: String) {
        it: regenerate(input: { messageId: $id, idempotencyKey: $key }) { run { id } } }";
    let edit = "mutation($id: ID!, $key: String) { it: editMessage(input: { messageId: $id,
        message: { text: \"Hi\" }, idempotencyKey: $key }) { run { id } } }";
    for (document, key) in [(regenerate, "again"), (edit, "other")] {
        let variables = json!({ "id": first["userMessage"]["id"], "key": key });
        let at_once = join_all((0..10).map(|_| client.data(document, &variables))).await;
        let run = string(&at_once[0]["it"]["run"]["id"]);
        assert!(
            at_once
                .iter()
                .all(|started| started["it"]["run"]["id"] == run)
        );
        ended_run(&client, &run).await;
        assert_eq!(client.data(document, &variables).await, at_once[0]);
    }
    assert_eq!(server.upstream.received().len(), 3);
    assert_eq!(messages(&client, &session).await.len(), 2);
    // A key stands for one kind of start.
    let variables = json!({ "id": first["userMessage"]["id"], "key": "again" });
    check_reused(&client, edit, &variables).await;
    let mut said = keyed(Some(&session), "Hello");
    said["input"]["idempotencyKey"] = "again".into();
    check_reused(&client, SEND, &said).await;
}

pub(crate) async fn a_run_is_stopped_under_a_key(db: Arc<Database>) {
    let server = Setup::new().on(&db).start().await;
    let client = server.client();
    let document = "mutation($id: ID!) { cancelRun(id: $id, idempotencyKey: \"stop\") {
        run { id status } } }";
    server.upstream.then(half_said());
    let (_, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let (_, second) = send(&client, None, "Hello").await;
    for _ in 0..2 {
        let stopped = client.data(document, &json!({ "id": first })).await;
        assert_eq!(stopped["cancelRun"]["run"]["status"], "CANCELLED");
    }
    let error = client.error(document, &json!({ "id": second })).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "CONFLICT", "field": "idempotencyKey" })
    );
    assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
}
