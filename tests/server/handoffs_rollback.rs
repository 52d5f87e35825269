//! Hand-offs that a run has made which is rolled back: the session is as it was before.

use std::sync::Arc;

use talkgraph::app::Ended;

use crate::handoffs::{agents_of, hands_over, setup, told_as, two};
use crate::on_active_run::start;
use crate::support::database::Database;
use crate::support::talk::{cancel, chat, ended_run, half_said, run, send, string};
use crate::support::upstream::Upstream;

pub(crate) async fn a_hand_off_is_rolled_back(db: Arc<Database>) {
    let folder = two();
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    let session = string(&chat(&client, None, "Hello").await["session"]["id"]);
    server.upstream.then(hands_over("expert", "{}"));
    server.upstream.then(half_said());
    let (_, first) = send(&client, Some(&session), "A hard one").await;
    server.upstream.wait_holding(1).await;
    assert_eq!(
        agents_of(&client, &session, &first).await,
        ["expert", "expert"]
    );

    let second = start(&client, &session, "An easy one", "ROLLBACK").await;
    assert_eq!(ended_run(&client, &second).await["status"], "COMPLETED");
    assert_eq!(
        agents_of(&client, &session, &second).await,
        ["desk", "desk"]
    );
    assert_eq!(told_as(&server.upstream, 3).0, "You are the desk.");
    // What it came to is still told by the run itself.
    assert_eq!(run(&client, &first).await["status"], "CANCELLED");
    assert_eq!(agents_of(&client, &session, &first).await[1], "expert");

    // Where the message is kept, so is the agent that has it.
    server.upstream.then(hands_over("expert", "{}"));
    server.upstream.then(half_said());
    send(&client, Some(&session), "Another hard one").await;
    server.upstream.wait_holding(2).await;
    let third = start(&client, &session, "Stop", "INTERRUPT").await;
    assert_eq!(ended_run(&client, &third).await["status"], "COMPLETED");
    assert_eq!(
        agents_of(&client, &session, &third).await,
        ["expert", "expert"]
    );
}

/// Before the run is when it had its turn, not when it was asked for.
pub(crate) async fn a_hand_off_of_an_enqueued_run_is_rolled_back(db: Arc<Database>) {
    let folder = two();
    let server = setup(&folder).on(&db).start().await;
    let client = server.client();
    server.upstream.then(half_said());
    let (session, first) = send(&client, None, "Count").await;
    server.upstream.wait_holding(1).await;
    let second = start(&client, &session, "A hard one", "ENQUEUE").await;
    server.upstream.then(hands_over("expert", "{}"));
    server.upstream.then(half_said());
    cancel(&client, &first).await;
    server.upstream.wait_holding(2).await;
    assert_eq!(
        agents_of(&client, &session, &second).await,
        ["expert", "expert"]
    );

    let third = start(&client, &session, "An easy one", "ROLLBACK").await;
    assert_eq!(ended_run(&client, &third).await["status"], "COMPLETED");
    assert_eq!(agents_of(&client, &session, &third).await, ["desk", "desk"]);
}

/// Whoever takes a run up knows how the session was before it.
pub(crate) async fn the_next_server_rolls_a_hand_off_back(db: Arc<Database>) {
    let folder = two();
    let drained = setup(&folder).set("http.drain_timeout_ms", 1);
    let first = drained.on(&db).start().await;
    first.upstream.then(hands_over("expert", "{}"));
    first.upstream.then(half_said());
    let (session, run) = send(&first.client(), None, "A hard one").await;
    first.upstream.wait_holding(1).await;
    assert_eq!(first.stop().await, Ended::Left(1));

    let upstream = Upstream::start().await;
    upstream.then(half_said());
    let base_url = upstream.base_url();
    let second = setup(&folder).on(&db).start_with(upstream, &base_url).await;
    let client = second.client();
    second.upstream.wait_holding(1).await;
    assert_eq!(
        agents_of(&client, &session, &run).await,
        ["expert", "expert"]
    );
    let next = start(&client, &session, "An easy one", "ROLLBACK").await;
    assert_eq!(ended_run(&client, &next).await["status"], "COMPLETED");
    assert_eq!(agents_of(&client, &session, &next).await, ["desk", "desk"]);
}
