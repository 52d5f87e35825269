//! Many clients behind one key, as those of a back end are.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{body, send};
use crate::support::server::Setup;
use crate::support::talk::{input, run_events_subscription, send as say};
use crate::support::upstream::Script;

/// Clients of each kind, over HTTP/1.1 a connection each.
const CLIENTS: usize = 200;

#[tokio::test]
async fn one_key_serves_many_clients() {
    let server = Setup::new()
        .operator_key("back", "acme", "app")
        .start()
        .await;
    let client = server.client_with("back");
    server
        .upstream
        .then(Script::stream().text(["a "]).hold().text(["b"]).ended());
    let (_, run) = say(&client, None, "Hello").await;
    server.upstream.wait_holding(1).await;
    let sockets = join_all((0..CLIENTS).map(|_| client.socket())).await;
    let variables = json!({ "run": run });
    let subscription = run_events_subscription();
    let streams = (0..CLIENTS).map(|_| client.events(&subscription, &variables));
    let streams = join_all(streams).await;
    server.upstream.release();
    for stream in streams {
        let events = stream.rest().await;
        let last = &events.last().unwrap()["data"]["runEvents"]["__typename"];
        assert_eq!(last, "RunCompleted");
    }
    assert_eq!(sockets.len(), CLIENTS);
}

#[tokio::test]
async fn a_server_has_so_many_event_streams() {
    let server = Setup::new().set("http.streams_total", 2).start().await;
    let client = server.client();
    server
        .upstream
        .then(Script::stream().text(["a "]).hold().text(["b"]).ended());
    let (_, run) = say(&client, None, "Hello").await;
    server.upstream.wait_holding(1).await;
    let variables = json!({ "run": run });
    let subscription = run_events_subscription();
    let open = [
        client.events(&subscription, &variables).await,
        client.events(&subscription, &variables).await,
    ];
    let request = || {
        client
            .post(&subscription, &variables)
            .header("accept", "text/event-stream")
    };
    let response = send(request()).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let (status, answer) = body(request()).await;
    assert_eq!(status, 503, "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE");
    // Everything else is served.
    client.data("{ viewer { owner } }", &input(None, "x")).await;
    server.upstream.release();
    for stream in open {
        stream.rest().await;
    }
}
