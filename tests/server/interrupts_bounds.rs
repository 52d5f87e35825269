//! Answers that are wrong, too late, given twice or not at all.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::agent_tools::{agents, calculates};
use crate::interrupts::{
    RESOLVE, approve, calculates_twice, careful, refusal, reject, resolve, told, waits,
};
use crate::support::database::Database;
use crate::support::talk::{check_sequences, ended_run, kinds, run_events, send};
use crate::support::upstream::Script;

pub(crate) async fn wrong_answers_are_refused_and_nothing_is_lost(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    let wrong =
        json!({ "approve": { "interruptId": open[1]["id"], "arguments": { "expresion": 1 } } });
    let result = json!({ "result": { "interruptId": open[1]["id"], "text": "2" } });
    let both = json!({ "result": { "interruptId": open[1]["id"], "text": "2", "json": 2 } });
    let no_one = json!({ "approve": { "interruptId": "int_01h455vb4pex5vsknk084sn02q" } });
    for (second, expected) in [
        (
            wrong,
            "BAD_USER_INPUT input.resolutions.1.approve.arguments",
        ),
        (result, "BAD_USER_INPUT input.resolutions.1.result"),
        (both, "BAD_USER_INPUT input.resolutions.1.result"),
        (no_one, "NOT_FOUND input.resolutions.1.approve.interruptId"),
        (
            reject(&open[0], ""),
            "BAD_USER_INPUT input.resolutions.1.reject.interruptId",
        ),
        (
            reject(&open[1], "\0"),
            "BAD_USER_INPUT input.resolutions.1.reject.reason",
        ),
    ] {
        let answers = json!([approve(&open[0]), second]);
        assert_eq!(refusal(&client, &id, answers).await, expected);
    }
    assert_eq!(
        refusal(&client, &id, json!([])).await,
        "BAD_USER_INPUT input.resolutions"
    );
    assert_eq!(waits(&client, &id).await, open, "all or nothing");
    let answers = json!([approve(&open[0]), approve(&open[1])]);
    resolve(&client, &id, answers).await;
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
}

pub(crate) async fn nobody_answers_for_others(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder)
        .key("key-of-alice", "acme", "alice")
        .key("key-of-carol", "acme", "carol")
        .on(&db)
        .start()
        .await;
    let (alice, carol) = (
        server.client_with("key-of-alice"),
        server.client_with("key-of-carol"),
    );
    let mut open = Vec::new();
    for client in [&alice, &carol] {
        server
            .upstream
            .then(calculates("{\"expression\": \"6*7\"}"));
        let (_, id) = send(client, None, "Calculate").await;
        open.push((id.clone(), waits(client, &id).await));
    }
    let (alices, carols) = (&open[0], &open[1]);
    let answer = |of: &(String, Vec<Value>)| json!([approve(&of.1[0])]);
    assert_eq!(
        refusal(&carol, &alices.0, answer(alices)).await,
        "NOT_FOUND input.runId"
    );
    // Somebody else's interrupt in a run of one's own.
    assert_eq!(
        refusal(&carol, &carols.0, answer(alices)).await,
        "NOT_FOUND input.resolutions.0.approve.interruptId"
    );
    let document = "query($id: ID!) { node(id: $id) { id } interrupts { nodes { id } } }";
    let seen = carol
        .data(document, &json!({ "id": alices.1[0]["id"] }))
        .await;
    assert_eq!(seen["node"], Value::Null);
    assert_eq!(
        seen["interrupts"]["nodes"],
        json!([{ "id": carols.1[0]["id"] }])
    );
    assert_eq!(waits(&alice, &alices.0).await, alices.1);
}

pub(crate) async fn fifty_at_once_are_one_answer(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    let answers = json!([approve(&open[0]), reject(&open[1], "no")]);
    let at_once = (0..50).map(|_| resolve(&client, &id, answers.clone()));
    for resolved in join_all(at_once).await {
        assert_eq!(resolved["interrupts"][0]["resolution"]["kind"], "APPROVED");
        assert_eq!(resolved["interrupts"][1]["resolution"]["reason"], "no");
    }
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let log = run_events(&client, &id, 0).await;
    check_sequences(&log);
    let count = |kind: &str| kinds(&log).iter().filter(|one| *one == kind).count();
    assert_eq!(
        (count("InterruptResolved"), count("ToolCallCompleted")),
        (2, 2)
    );
    assert_eq!(server.upstream.received().len(), 2);

    // After its end, too; and under a key, which stands for these answers alone.
    let mut variables =
        json!({ "input": { "runId": id, "resolutions": answers, "idempotencyKey": "k" } });
    for _ in 0..2 {
        let again = client.data(RESOLVE, &variables).await;
        assert_eq!(again["resolveInterrupts"]["run"]["status"], "COMPLETED");
    }
    let other = json!([reject(&open[0], "no")]);
    assert_eq!(
        refusal(&client, &id, other.clone()).await,
        "CONFLICT input.resolutions.0.reject.interruptId"
    );
    variables["input"]["resolutions"] = other;
    let error = client.error(RESOLVE, &variables).await;
    assert_eq!(
        error["extensions"],
        json!({ "code": "CONFLICT", "field": "input.idempotencyKey" })
    );
}

pub(crate) async fn what_nobody_answers_expires(db: Arc<Database>) {
    let folder = agents("");
    let setup = careful(&folder)
        .set("runs.interrupt_expiry_s", 1)
        .set("runs.lease_s", 1);
    let server = setup.on(&db).start().await;
    let client = server.client();
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    server.upstream.then(Script::tokens(["Nobody is there."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let log = run_events(&client, &id, 0).await;
    let resolved = log
        .iter()
        .find(|event| event["__typename"] == "InterruptResolved");
    let interrupt = &resolved.unwrap()["interrupt"];
    assert_eq!(interrupt["resolution"]["kind"], "EXPIRED");
    assert_eq!(kinds(&log).last().unwrap(), "RunCompleted");
    assert!(told(&server.upstream, 1)[0].contains("expired"));
    let late = refusal(&client, &id, json!([approve(interrupt)])).await;
    assert_eq!(late, "CONFLICT input.resolutions.0.approve.interruptId");
}

/// What would be one question too many is told to the model.
#[tokio::test]
async fn a_run_asks_only_so_often() {
    let folder = agents("");
    let server = careful(&folder).set("runs.interrupts", 1).start().await;
    let client = server.client();
    server.upstream.then(calculates_twice());
    server.upstream.then(Script::tokens(["Done."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    assert_eq!(open.len(), 1);
    resolve(&client, &id, json!([approve(&open[0])])).await;
    ended_run(&client, &id).await;
    let told = told(&server.upstream, 1);
    assert!(
        told.iter().any(|text| text.contains("too often")),
        "{told:?}"
    );
}
