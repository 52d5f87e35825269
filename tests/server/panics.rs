//! A resolver that panics is our fault, and costs its own request at most.

use serde_json::{Value, json};

use crate::support::connection::{Answer, Connection};
use crate::support::faulty::{Fault, Faulty};
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{create_session, input};

/// Panics in the resolver itself, and in a batch of a data loader.
const METHODS: [&str; 2] = ["agent_by_name", "sessions_by_id"];

const DIRECT: &str = "{ agent(name: \"research\") { name } }";
const BATCHED: &str = "query($id: ID!) { session(id: $id) { id } }";
/// Its first event panics, once the run has been started.
const CHAT: &str = "subscription($input: ChatInput!) { chat(input: $input) {
    sequence run { session { id } } } }";

async fn server() -> (TestServer, Fault) {
    let fault = Fault::default();
    (with(Setup::new(), &fault).start().await, fault)
}

/// A server whose store has this fault.
pub(crate) fn with(setup: Setup, fault: &Fault) -> Setup {
    let to = fault.clone();
    let around = move |store| {
        let methods = &METHODS;
        let fault = to;
        std::sync::Arc::new(Faulty {
            store,
            methods,
            fault,
        }) as _
    };
    setup.around(around)
}

/// The one error of a response, which must be ours and tell nothing.
fn check_error(response: &Value, request_id: Option<&str>) {
    let errors = response["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{response}");
    assert_eq!(errors[0]["message"], "internal server error");
    let extensions = &errors[0]["extensions"];
    assert_eq!(extensions["code"], "INTERNAL_SERVER_ERROR");
    match request_id {
        Some(id) => assert_eq!(extensions["requestId"], id),
        None => assert!(extensions["requestId"].is_string()),
    }
}

/// The JSON texts in a response of any media type.
fn responses(answer: &Answer) -> Vec<Value> {
    let lines = answer.body.lines();
    let json = lines.map(|line| line.strip_prefix("data: ").unwrap_or(line));
    json.filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|mut response| match response.get("payload") {
            Some(_) => response["payload"].take(),
            None => response,
        })
        .collect()
}

async fn check_panics(accept: &str, documents: &[&str]) {
    let (server, fault) = server().await;
    let session = create_session(&server.client()).await;
    let mut connection = Connection::open(&server.address).await;
    for document in documents {
        let mut variables = input(None, "Hello");
        variables["id"] = session.clone().into();
        fault.set(true);
        let answer = connection.post(accept, document, &variables).await;
        let found = responses(&answer);
        assert_eq!(found.len(), 1, "{}", answer.body);
        let (_, id) = answer.head.split_once("x-request-id: ").unwrap();
        check_error(&found[0], id.split_once("\r\n").map(|(id, _)| id));
        // The same connection goes on, and nothing of the panic is left.
        fault.set(false);
        let answer = connection.post(accept, document, &variables).await;
        let found = responses(&answer);
        assert!(!found.is_empty(), "{}", answer.body);
        for response in found {
            assert!(response.get("errors").is_none(), "{response}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_an_error_over_post() {
    check_panics("application/json", &[DIRECT, BATCHED]).await;
}

#[tokio::test]
async fn a_panic_is_an_error_over_server_sent_events() {
    check_panics("text/event-stream", &[DIRECT, BATCHED, CHAT]).await;
}

#[tokio::test]
async fn a_panic_is_an_error_over_multipart() {
    let accept = "multipart/mixed;subscriptionSpec=1.0";
    check_panics(accept, &[DIRECT, BATCHED, CHAT]).await;
}

#[tokio::test]
async fn a_panic_is_an_error_over_a_websocket() {
    let (server, fault) = server().await;
    let session = create_session(&server.client()).await;
    let mut socket = server.client().socket().await;
    for document in [DIRECT, BATCHED, CHAT] {
        let mut variables = input(None, "Hello");
        variables["id"] = session.clone().into();
        fault.set(true);
        socket.subscribe("1", document, &variables).await;
        let message = socket.message().await;
        // Where nothing was executed the protocol ends the operation with the errors alone.
        match message["type"].as_str() {
            Some("error") => check_error(&json!({ "errors": message["payload"] }), None),
            Some("next") => {
                check_error(&message["payload"], None);
                assert!(socket.rest("1").await.is_empty());
            }
            _ => panic!("{message}"),
        }
        fault.set(false);
        socket.subscribe("2", document, &variables).await;
        let rest = socket.rest("2").await;
        assert!(!rest.is_empty());
        for response in rest {
            assert!(response.get("errors").is_none(), "{response}");
        }
    }
}
