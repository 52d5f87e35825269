//! Runs that wait for answers while their servers come and go.

use std::sync::Arc;

use serde_json::json;
use talkgraph::app::Ended;
use tempfile::TempDir;

use crate::agent_tools::{agents, calculates, call, called};
use crate::interrupts::{RESOLVE, approve, calculates_twice, careful, parts, resolve, told, waits};
use crate::shutdown::process;
use crate::support::database::Database;
use crate::support::faulty::{Fault, Faulty};
use crate::support::talk::{
    all, check_sequences, ended_run, events, follow, kinds, run, run_events, send,
};
use crate::support::upstream::{Script, Upstream};

pub(crate) async fn an_approval_outlasts_a_restart(db: Arc<Database>) {
    let folder = agents("");
    let first = careful(&folder).on(&db).start().await;
    first.upstream.then(calculates("{\"expression\": \"6*7\"}"));
    let (_, id) = send(&first.client(), None, "6*7?").await;
    let open = waits(&first.client(), &id).await;
    // Nobody makes it, so that nobody has to wait for it.
    assert_eq!(first.stop().await, Ended::Drained);

    let second = careful(&folder).on(&db).start().await;
    let client = second.client();
    let watching = follow(&client, &id, 0).await;
    assert_eq!(waits(&client, &id).await, open);
    second.upstream.then(Script::tokens(["It is 42."]));
    resolve(&client, &id, json!([approve(&open[0])])).await;
    let log = events(watching.rest().await);
    check_sequences(&log);
    assert_eq!(kinds(&log).last().unwrap(), "RunCompleted");
    assert_eq!(told(&second.upstream, 0), ["42"]);
    let parts = parts(&client, &id).await;
    assert_eq!(
        all(parts.as_array().unwrap(), "__typename"),
        ["ToolCallPart", "ToolResultPart", "TextPart"]
    );
}

/// Whoever has waited on one server sees what is answered on another.
pub(crate) async fn the_next_server_goes_on(db: Arc<Database>) {
    let folder = agents("");
    let server = careful(&folder).on(&db).start().await;
    let other = careful(&folder).on(&db).start().await;
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    let (_, id) = send(&server.client(), None, "Calculate").await;
    let open = waits(&server.client(), &id).await;
    let watching = follow(&server.client(), &id, 0).await;
    other.upstream.then(Script::tokens(["It is 42."]));
    resolve(&other.client(), &id, json!([approve(&open[0])])).await;
    let log = events(watching.rest().await);
    check_sequences(&log);
    assert_eq!(kinds(&log).last().unwrap(), "RunCompleted");
    assert_eq!(other.upstream.received().len(), 1);
    assert_eq!(server.upstream.received().len(), 1);
}

/// Killed while it waits: the next server has all that it takes.
#[tokio::test]
async fn a_waiting_run_outlasts_a_kill() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let folder = agents("");
    let path = folder.path().display().to_string();
    std::fs::write(
        home.path().join("talkgraph.toml"),
        "[tools.approval]\ncalculator = \"always\"\n",
    )
    .unwrap();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
    ];
    let mut killed = process(&home, &upstream, &settings).await;
    upstream.then(calculates_twice());
    let (_, id) = send(&killed.client(), None, "Calculate").await;
    let open = waits(&killed.client(), &id).await;
    resolve(&killed.client(), &id, json!([approve(&open[0])])).await;
    let before = run(&killed.client(), &id).await;
    killed.kill();
    killed.exit_code().await;

    let next = process(&home, &upstream, &settings).await;
    let client = next.client();
    assert_eq!(run(&client, &id).await, before, "nobody takes it up");
    upstream.then(Script::tokens(["Done."]));
    resolve(&client, &id, json!([approve(&open[1])])).await;
    assert_eq!(ended_run(&client, &id).await["status"], "COMPLETED");
    let mut told = told(&upstream, 1);
    told.sort();
    assert_eq!(told, ["2", "42"]);
    check_sequences(&run_events(&client, &id, 0).await);
}

/// A server that dies while an approved call is under way: the call may have taken effect.
#[tokio::test]
async fn an_approved_call_is_not_made_twice() {
    let (home, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let (bank, folder) = (Upstream::start().await, TempDir::new().unwrap());
    let agent =
        "name = \"handy\"\ndescription = \"d\"\ninstructions = \"i\"\ntools = [\"refund\"]\n";
    std::fs::write(folder.path().join("handy.toml"), agent).unwrap();
    let tool = format!(
        "[[tools.http]]\nname = \"refund\"\ndescription = \"Pays back.\"\nmethod = \"POST\"\n\
         url = \"{}\"\nbody = '{{}}'\nparameters = '{{\"type\": \"object\"}}'\n\
         [tools.approval]\nrefund = \"always\"\n",
        bank.base_url()
    );
    std::fs::write(home.path().join("talkgraph.toml"), tool).unwrap();
    let path = folder.path().display().to_string();
    let settings = [
        ("agents.folder", path.as_str()),
        ("agents.default", "handy"),
    ];
    let mut killed = process(&home, &upstream, &settings).await;
    bank.then(Script::silence());
    upstream.then(called(call(Script::stream(), 0, "refund", "{}")));
    let (_, id) = send(&killed.client(), None, "Pay back").await;
    let open = waits(&killed.client(), &id).await;
    resolve(&killed.client(), &id, json!([approve(&open[0])])).await;
    bank.wait_received(1).await;
    killed.kill();
    killed.exit_code().await;

    upstream.then(Script::tokens(["I do not know."]));
    let next = process(&home, &upstream, &settings).await;
    assert_eq!(ended_run(&next.client(), &id).await["status"], "COMPLETED");
    assert!(told(&upstream, 1)[0].contains("not known"));
    assert_eq!(bank.received().len(), 1);
}

/// Taken, but then the server stumbled: it comes back to the run by itself.
#[tokio::test]
async fn a_run_with_its_answers_is_not_forgotten() {
    let folder = agents("");
    let fault = Fault::default();
    let faulty = fault.clone();
    let setup = careful(&folder).set("runs.lease_s", 1).around(|store| {
        Arc::new(Faulty {
            store,
            methods: &["branch_before"],
            fault: faulty,
        })
    });
    let server = setup.start().await;
    let client = server.client();
    server
        .upstream
        .then(calculates("{\"expression\": \"6*7\"}"));
    server.upstream.then(Script::tokens(["It is 42."]));
    let (_, id) = send(&client, None, "Calculate").await;
    let open = waits(&client, &id).await;
    fault.set(true);
    let variables = json!({ "input": { "runId": id, "resolutions": [approve(&open[0])] } });
    let error = client.error(RESOLVE, &variables).await;
    assert_eq!(error["extensions"]["code"], "INTERNAL_SERVER_ERROR");
    assert_eq!(run(&client, &id).await["status"], "RUNNING");
    fault.set(false);
    let ended = ended_run(&client, &id).await;
    assert_eq!(ended["output"]["text"], "It is 42.");
    assert_eq!(server.upstream.received().len(), 2);
}
