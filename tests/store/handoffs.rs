//! Hand-offs: the event changes its run and its session, or nothing does.

use std::sync::Arc;

use talkgraph_domain::{Agent, EventBody, HandOff, RunEvent, RunStatus, ToolCallId};
use talkgraph_store::{StartedRun, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, event, spec};

async fn other(scene: &Scene) -> Agent {
    let specs = [spec("helper"), spec("other")];
    let agents = scene.store.sync_file_agents(&specs).await.unwrap();
    agents[1].clone()
}

fn handed(scene: &Scene, started: &StartedRun, to: &Agent, sequence: u64) -> Arc<RunEvent> {
    let handoff = HandOff {
        session_id: started.session.id,
        tool_call_id: ToolCallId::new(),
        from_agent_id: scene.agent.id,
        to_agent_id: to.id,
        to_agent_version_id: to.current.id,
        model: "other/model".to_owned(),
        reason: Some("é \0 \"".to_owned()),
    };
    let handoff = Box::new(handoff);
    event(started.run.id, sequence, EventBody::HandedOff { handoff })
}

/// Whether run and session are with this agent.
async fn are_with(scene: &Scene, started: &StartedRun, agent: &Agent) -> bool {
    let run = scene.read_run(started.run.id).await.unwrap();
    let session = scene.read(started.session.id).await.unwrap();
    let pinned = (run.agent_id, run.agent_version_id) == (agent.id, agent.current.id);
    assert_eq!(pinned, session.agent_id == agent.id);
    pinned
}

pub(crate) async fn a_hand_off_changes_run_and_session(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = other(&scene).await;
    let (started, bystander) = (scene.start_new().await, scene.start_new().await);
    let written = handed(&scene, &started, &other, 2);
    let events = scene.new_events(vec![Arc::clone(&written)]);
    scene.append(events).await.unwrap();
    assert!(are_with(&scene, &started, &other).await);
    assert!(are_with(&scene, &bystander, &scene.agent).await);
    let run = scene.read_run(started.run.id).await.unwrap();
    assert_eq!(run.model, "other/model");
    assert_eq!(scene.log(started.run.id).await[1], *written);
}

pub(crate) async fn a_refused_hand_off_changes_nothing(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = other(&scene).await;
    let started = scene.start_new().await;
    // It does not follow the log.
    let events = scene.new_events(vec![handed(&scene, &started, &other, 9)]);
    assert!(scene.append(events).await.is_err());
    assert!(are_with(&scene, &started, &scene.agent).await);
    // Another node has the run.
    let stranger = scene.another_node(&database).await;
    let events = stranger.new_events(vec![handed(&scene, &started, &other, 2)]);
    assert!(scene.append(events).await.is_err());
    assert!(are_with(&scene, &started, &scene.agent).await);
}

/// One that could not be written before comes with the end.
pub(crate) async fn a_run_may_end_with_its_hand_off(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = other(&scene).await;
    let started = scene.start_new().await;
    let mut end = scene.end(&started, 3, "Hi");
    let written = handed(&scene, &started, &other, 2);
    end.events.insert(0, written);
    end.mends_log = true;
    scene.store.finish_run(end.clone()).await.unwrap();
    assert!(are_with(&scene, &started, &other).await);
    let again = scene.store.finish_run(end).await;
    assert!(matches!(again, Err(StoreError::Conflict)), "{again:?}");
}

/// A run that is rolled back gives the session back, also where the hand-off comes with the end.
pub(crate) async fn a_withdrawn_run_gives_its_session_back(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let other = other(&scene).await;
    for with_the_end in [false, true] {
        let started = scene.start_new().await;
        assert_eq!(started.before.agent, Some(scene.agent.id));
        let before = scene.store.branch_before(started.run.id).await.unwrap();
        assert_eq!(before, Some(started.before));
        let mut end = scene.end(&started, 3, "Hi");
        let written = handed(&scene, &started, &other, 2);
        match with_the_end {
            true => {
                end.events.insert(0, written);
                end.mends_log = true;
            }
            false => {
                let events = scene.new_events(vec![written]);
                scene.append(events).await.unwrap();
                assert!(are_with(&scene, &started, &other).await);
            }
        }
        end.run.status = RunStatus::Cancelled;
        end.rewind = before;
        scene.store.finish_run(end).await.unwrap();
        let session = scene.read(started.session.id).await.unwrap();
        assert_eq!(session.agent_id, scene.agent.id);
        assert_eq!((session.head, session.branch_length), (None, 0));
        let run = scene.read_run(started.run.id).await.unwrap();
        assert_eq!(run.agent_id, other.id, "the run tells where it was");
    }
}
