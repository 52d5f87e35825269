//! Everything that a person is asked, in one place.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::agent_tools::{agents, calculates};
use crate::interrupts::{INTERRUPT, approve, careful, resolve, waits};
use crate::support::database::Database;
use crate::support::talk::{send, string};

pub(crate) async fn an_inbox_is_kept_live(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    let document = format!("subscription {{ interruptsChanged {{ {INTERRUPT} }} }}");
    let mut changes = client.events(&document, &json!({})).await;
    // A round trip later the subscription is there.
    let mut runs = Vec::new();
    for _ in 0..3 {
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (_, id) = send(&client, None, "Calculate").await;
        waits(&client, &id).await;
        runs.push(id);
    }
    let inbox = "query($first: Int, $after: String) { interrupts(first: $first, after: $after) {
        pageInfo { hasNextPage endCursor } nodes { id run { id } } } }";
    let page = client.data(inbox, &json!({ "first": 2 })).await;
    let page = &page["interrupts"];
    assert_eq!(page["pageInfo"]["hasNextPage"], true);
    let of = |page: &Value| -> Vec<String> {
        let nodes = page["nodes"].as_array().unwrap();
        nodes
            .iter()
            .map(|node| string(&node["run"]["id"]))
            .collect()
    };
    assert_eq!(of(page), runs[..2]);
    let rest = client
        .data(
            inbox,
            &json!({ "first": 2, "after": page["pageInfo"]["endCursor"] }),
        )
        .await;
    assert_eq!(of(&rest["interrupts"]), runs[2..]);

    let mut next = async || {
        let mut response = changes.next().await.unwrap();
        response["data"]["interruptsChanged"].take()
    };
    for id in &runs {
        let change = next().await;
        assert_eq!(
            (&change["run"]["id"], &change["resolution"]),
            (&json!(id), &Value::Null)
        );
    }
    let first = &page["nodes"][0];
    resolve(&client, &runs[0], json!([approve(first)])).await;
    let change = next().await;
    assert_eq!(change["id"], first["id"]);
    assert_eq!(change["resolution"]["kind"], "APPROVED");
    let left = client.data(inbox, &json!({})).await;
    assert_eq!(of(&left["interrupts"]), runs[1..]);
    // By its id it stays to be read.
    let node =
        format!("query($id: ID!) {{ node(id: $id) {{ ... on ToolApproval {{ {INTERRUPT} }} }} }}");
    let data = client.data(&node, &json!({ "id": first["id"] })).await;
    assert_eq!(data["node"]["resolution"]["kind"], "APPROVED");
}
