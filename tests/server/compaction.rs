//! Old logs are compacted; the messages stay.

use std::sync::Arc;

use serde_json::json;

use crate::support::database::Database;
use crate::support::server::Setup;
use crate::support::talk::{all, chat, messages, run_events, string};
use crate::support::wait::eventually;

pub(crate) async fn an_old_log_tells_how_the_run_ended(db: Arc<Database>) {
    let quick = || {
        Setup::new()
            .set("runs.log_retention_s", 1)
            .set("runs.lease_s", 1)
    };
    let server = quick().on(&db).start().await;
    let client = server.client();
    let answer = chat(&client, None, "one two three").await;
    let (session, id) = (
        string(&answer["session"]["id"]),
        string(&answer["run"]["id"]),
    );
    let last = answer["run"]["lastSequence"].as_u64().unwrap();
    let whole = run_events(&client, &id, 0).await;
    let document = "query($id: ID!) { run(id: $id) { logCompacted lastSequence output { text } } }";
    let run = eventually("the log to be compacted", async || {
        let data = client.data(document, &json!({ "id": id })).await;
        (data["run"]["logCompacted"] == true).then(|| data["run"].clone())
    })
    .await;
    assert_eq!(run["lastSequence"], last);
    assert_eq!(run["output"]["text"], "echo 2: one two three");

    let log = run_events(&client, &id, 0).await;
    let kinds = ["LogCompacted", "MessageCompleted", "RunCompleted"];
    assert_eq!(all(&log, "__typename"), kinds);
    assert_eq!(log[0]["firstSequence"], 1);
    assert_eq!(log[0]["sequence"], last - 2);
    assert_eq!(log[1..], whole[whole.len() - 2..], "as they were");
    // From the middle of what is gone, and from what is still there.
    assert_eq!(run_events(&client, &id, 3).await, log);
    assert_eq!(run_events(&client, &id, last - 1).await, log[2..]);
    assert!(run_events(&client, &id, last).await.is_empty());
    assert_eq!(
        messages(&client, &session).await,
        ["USER: one two three", "ASSISTANT: echo 2: one two three"]
    );
}
