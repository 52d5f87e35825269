//! Stopping runs that wait for answers.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::agent_tools::{agents, calculates};
use crate::interrupts::{approve, careful, refusal, waits};
use crate::on_active_run::{start, with_policy};
use crate::support::database::Database;
use crate::support::talk::{
    SEND, cancel, chat_subscription, check_sequences, ended_run, events, follow, input, messages,
    run_events, send, string, wait_status,
};
use crate::support::upstream::Script;

/// The log ends with the closed interrupt and one terminal event.
fn check_closed(log: &[Value]) {
    check_sequences(log);
    let [.., closed, completed, last] = log else {
        panic!("too short: {log:?}")
    };
    assert_eq!(
        closed["interrupt"]["resolution"]["kind"], "CLOSED",
        "{log:?}"
    );
    assert_eq!(completed["__typename"], "MessageCompleted");
    assert_eq!(last["__typename"], "RunCancelled");
}

pub(crate) async fn a_waiting_run_is_cancelled(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    // Any server can: nobody makes it.
    let other = careful(&folder).on(&db).start().await;
    let client = server.client();
    for stopper in [server.client(), other.client()] {
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (session, id) = send(&client, None, "Calculate").await;
        let open = waits(&client, &id).await;
        let watching = follow(&client, &id, 0).await;
        assert_eq!(cancel(&stopper, &id).await["status"], "CANCELLED");
        let log = events(watching.rest().await);
        check_closed(&log);
        assert_eq!(log, run_events(&client, &id, 0).await);
        assert_eq!(
            refusal(&client, &id, json!([approve(&open[0])])).await,
            "CONFLICT input.resolutions.0.approve.interruptId"
        );
        assert_eq!(cancel(&stopper, &id).await["status"], "CANCELLED");
        let data = client
            .data("{ interrupts { nodes { id } } }", &json!({}))
            .await;
        assert_eq!(data["interrupts"]["nodes"], json!([]));
        let (_, next) = send(&client, Some(&session), "Go on").await;
        assert_eq!(ended_run(&client, &next).await["status"], "COMPLETED");
    }
}

pub(crate) async fn whoever_interrupts_closes_what_is_waited_for(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    for (policy, kept) in [("INTERRUPT", 4), ("ROLLBACK", 2)] {
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (session, first) = send(&client, None, "Calculate").await;
        waits(&client, &first).await;
        let refused = client
            .error(SEND, &with_policy(&session, "No", "REJECT"))
            .await;
        assert_eq!(
            (
                &refused["extensions"]["code"],
                &refused["extensions"]["runId"]
            ),
            (&json!("CONFLICT"), &json!(first))
        );
        let second = start(&client, &session, "Never mind", policy).await;
        assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
        check_closed(&run_events(&client, &first, 0).await);
        assert_eq!(messages(&client, &session).await.len(), kept, "{policy}");
    }
}

pub(crate) async fn a_waiting_run_goes_with_its_client(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    let mut variables = input(None, "Calculate");
    variables["input"]["onDisconnect"] = "CANCEL".into();
    let mut stream = client.events(&chat_subscription(), &variables).await;
    let first = events(vec![stream.next().await.unwrap()]);
    let id = string(&first[0]["run"]["id"]);
    waits(&client, &id).await;
    drop(stream);
    wait_status(&client, &id, "CANCELLED").await;
}

/// One that waits behind it in its session has its turn then.
#[tokio::test]
async fn what_is_enqueued_waits_for_the_answers() {
    let folder = agents("");
    let server = careful(&folder).start().await;
    let client = server.client();
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    let (session, first) = send(&client, None, "Calculate").await;
    let open = waits(&client, &first).await;
    let second = start(&client, &session, "And then?", "ENQUEUE").await;
    wait_status(&client, &second, "QUEUED").await;
    server.upstream.then(Script::tokens(["Done."]));
    crate::interrupts::resolve(&client, &first, json!([approve(&open[0])])).await;
    assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
    assert_eq!(messages(&client, &session).await.len(), 4);
}
