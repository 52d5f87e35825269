//! Subscriptions over multipart responses, as Apollo's clients have them.

use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::support::client::parts;
use crate::support::database::Database;
use crate::support::multipart::Part;
use crate::support::server::{Setup, TestServer};
use crate::support::talk::{
    WHOLE, chat_subscription, events, half_said, input, run_events, run_events_subscription,
    send as say,
};
use crate::support::upstream::Script;

#[tokio::test]
async fn a_run_is_followed_to_its_end() {
    let server = TestServer::start().await;
    let client = server.client();
    let (_, run) = say(&client, None, "Hello").await;
    let log = run_events(&client, &run, 0).await;
    let document = run_events_subscription();
    for after in [0, 2, log.len()] {
        let variables = json!({ "run": run, "after": after });
        let parts = client.parts(&document, &variables).await;
        let header = |name: &str| parts.headers[name].to_str().unwrap().to_owned();
        assert_eq!(
            header("content-type"),
            "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0"
        );
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        assert_eq!(events(parts.rest().await), log[after..]);
    }
}

/// A part is whole, with the delimiter after it, before there is another.
#[tokio::test]
async fn each_event_leaves_when_it_happens() {
    let server = TestServer::start().await;
    let one_token = Script::stream().text(["one "]).hold().text(["two"]).ended();
    server.upstream.then(one_token);
    let client = server.client();
    let mut parts = client
        .parts(&chat_subscription(), &input(None, "Count"))
        .await;
    while parts.next().await.unwrap()["data"]["chat"]["delta"] != "one " {}
    server.upstream.release();
    let rest = events(parts.rest().await);
    assert_eq!(rest[0]["delta"], "two");
    assert_eq!(rest.last().unwrap()["__typename"], "RunCompleted");
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive() {
    let server = Setup::new().set("http.keep_alive_ms", 20).start().await;
    server.upstream.then(half_said());
    let client = server.client();
    let mut parts = client
        .parts(&chat_subscription(), &input(None, "Count"))
        .await;
    while parts.next().await.unwrap()["data"]["chat"]["delta"] != "two " {}
    for _ in 0..3 {
        assert_eq!(parts.part().await, Some(Part::Heartbeat));
    }
    server.upstream.release();
    let rest = events(parts.rest().await);
    assert_eq!(rest[0]["message"]["text"], WHOLE);
}

/// Errors of GraphQL are in the payload; those beside it are the transport's.
#[tokio::test]
async fn a_refused_subscription_is_one_payload() {
    let server = TestServer::start().await;
    let client = server.client();
    let variables = json!({ "run": "run_01h455vb4pex5vsknk084sn02q" });
    let parts = client.parts(&run_events_subscription(), &variables).await;
    let answers = parts.rest().await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(
        answers[0]["errors"][0]["extensions"]["code"], "NOT_FOUND",
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_query_is_one_part_for_clients_that_read_nothing_else() {
    let server = TestServer::start().await;
    let client = server.client();
    let query = "{ viewer { owner } }";
    let expected = json!({ "data": { "viewer": { "owner": "dev" } } });
    let request = client.post(query, &json!({}));
    let request = request.header("accept", "multipart/mixed;subscriptionSpec=1.0");
    assert_eq!(parts(request).await.rest().await, [expected]);
}

/// The run is made elsewhere and goes on: the client can tell this from its end, and from a
/// broken connection.
#[tokio::test]
async fn a_stopping_server_says_so() {
    let database = Arc::new(Database::Sqlite(TempDir::new().unwrap()));
    let maker = Setup::new().on(&database).start().await;
    let mut server = Setup::new().on(&database).start().await;
    maker.upstream.then(half_said());
    let (_, run) = say(&maker.client(), None, "Count").await;
    maker.upstream.wait_holding(1).await;
    let document = run_events_subscription();
    let client = server.client();
    let mut parts = client.parts(&document, &json!({ "run": run })).await;
    assert!(parts.next().await.is_some());
    server.begin_stop();
    let failed = loop {
        match parts.part().await {
            Some(Part::Failed(errors)) => break errors,
            Some(_) => {}
            None => panic!("the stream ended as if the run had"),
        }
    };
    assert_eq!(failed[0]["extensions"]["code"], "UNAVAILABLE", "{failed}");
    assert_eq!(parts.part().await, None);
}
