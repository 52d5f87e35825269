//! Counts over all tenants.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Client, body};
use crate::support::server::Setup;

const COUNT: &str = "{ server { version activeRuns } }";

async fn counts(client: &Client) -> (Value, Value) {
    let data = client.data(COUNT, &json!({})).await;
    let (status, ready) = body(client.request(Method::GET, "/health/ready")).await;
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    (
        data["server"]["activeRuns"].clone(),
        ready["sockets"].clone(),
    )
}

#[tokio::test]
async fn an_operator_alone_sees_counts_over_all_tenants() {
    let scoped = |setup: Setup, scopes: &str| setup.file(&format!("scopes = [{scopes}]\n"));
    let setup = Setup::new().key("a", "acme", "alice");
    let setup = scoped(setup, "\"tools:call\", \"agents:write\"").key("o", "ops", "olga");
    let server = scoped(setup, "\"operator\"").start().await;
    assert_eq!(
        counts(&server.client_with("a")).await,
        (Value::Null, Value::Null)
    );
    assert_eq!(counts(&server.client_with("o")).await, (json!(0), json!(0)));
    // A container's health check has no key.
    let (status, ready) = body(server.client().request(Method::GET, "/health/ready")).await;
    assert_eq!((status, ready.get("streams")), (200, None));
}

#[tokio::test]
async fn without_keys_everybody_on_this_machine_sees_them() {
    let server = Setup::new().start().await;
    assert_eq!(counts(&server.client()).await, (json!(0), json!(0)));
}
