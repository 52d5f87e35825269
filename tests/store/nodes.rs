use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use secrecy::SecretString;
use sqlx::Connection;
use talkgraph_domain::SessionId;
use talkgraph_store::postgres::{PostgresSettings, PostgresStore};
use talkgraph_store::{SessionChange, StoreError};

use crate::support::database::Database;
use crate::support::scene::{Scene, deltas, later, span};

/// Starts and ends runs in all sessions, over and over; returns how many it ended.
async fn work(scene: Scene, sessions: Vec<SessionId>, rounds: usize) -> usize {
    let mut ended = 0;
    for round in 0..rounds {
        let turns = sessions.iter().map(async |session| {
            let started = match scene.start(*session).await {
                Ok(started) => started,
                Err(StoreError::ActiveRun(_)) => return 0,
                Err(error) => panic!("{error}"),
            };
            let mut events = scene.new_events(deltas(&started.run, 2..=3));
            events.started_at = Some(later(0));
            scene.append(events).await.unwrap();
            let end = scene.end(&started, 4, "Hi");
            scene.store.finish_run(end).await.unwrap();
            1
        });
        let renewed = scene.store.renew_leases(scene.node, span(60));
        let (turns, renewed) = tokio::join!(join_all(turns), renewed);
        renewed.unwrap();
        ended += turns.iter().sum::<usize>();
        let expired = scene
            .store
            .take_expired_runs(scene.node, span(0), span(60), 10);
        assert!(expired.await.unwrap().is_empty(), "round {round}");
    }
    ended
}

/// Nothing waits in a circle, nothing is lost and nothing is done twice.
pub(crate) async fn two_nodes_work_in_the_same_sessions(database: Arc<Database>) {
    let one = Scene::new(&database).await;
    let two = one.another_node(&database).await;
    let mut sessions = Vec::new();
    for _ in 0..12 {
        sessions.push(one.session().await.id);
    }
    let backwards = sessions.iter().rev().copied().collect();
    let both = async {
        let (first, second) = tokio::join!(
            work(one.clone(), sessions.clone(), 15),
            work(two, backwards, 15)
        );
        first + second
    };
    let both = tokio::time::timeout(Duration::from_secs(30), both);
    let turns = both.await.expect("nobody waits for ever");
    let stored = one.store.sessions_by_id(&one.who, &sessions).await.unwrap();
    let messages: i32 = stored.iter().map(|session| session.branch_length).sum();
    assert_eq!(usize::try_from(messages).unwrap(), 2 * turns);
}

/// Nodes that start at the same time on a new database.
pub(crate) async fn nodes_make_the_tables_in_turn(database: Arc<Database>) {
    let nodes = (0..4).map(|_| {
        let database = Arc::clone(&database);
        tokio::spawn(async move { Scene::new(&database).await })
    });
    let scenes: Vec<_> = join_all(nodes)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(
        scenes
            .iter()
            .all(|scene| scene.agent.id == scenes[0].agent.id)
    );
    scenes[3].start_new().await;
}

/// A node goes on after the server has ended its connections.
pub(crate) async fn lost_connections_are_replaced(database: Arc<Database>) {
    let scene = Scene::new(&database).await;
    let session = scene.session().await.id;
    database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'talkgraph'",
        )
        .await;
    let mut failures = 0;
    while let Err(error) = scene.start(session).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        failures += 1;
        assert!(failures < 3, "the writer connects anew");
    }
    while let Err(error) = scene.store.ping().await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        failures += 1;
        assert!(failures < 6, "the pool connects anew");
    }
}

pub(crate) async fn a_statement_that_takes_too_long_is_given_up(database: Arc<Database>) {
    let settings = PostgresSettings {
        statement_timeout: Duration::from_millis(200),
        ..database.postgres_settings()
    };
    let store = PostgresStore::open(&settings).await.unwrap();
    let scene = Scene::on(Arc::new(store)).await;
    let session = scene.session().await.id;
    let lock = database
        .hold("SELECT id FROM sessions FOR UPDATE".to_owned())
        .await;
    let (store, who) = (&scene.store, &scene.who);
    let changed = store.update_session(who, session, SessionChange::default());
    let started = scene.start(session);
    let (changed, started) = tokio::join!(changed, started);
    assert!(
        matches!(changed, Err(StoreError::Unavailable(_))),
        "{changed:?}"
    );
    assert!(
        matches!(started, Err(StoreError::Unavailable(_))),
        "{started:?}"
    );
    lock.close().await.unwrap();
    scene.start(session).await.unwrap();
}

pub(crate) async fn a_server_that_is_away_is_unavailable(database: Arc<Database>) {
    let open = async |url: &str| {
        let settings = PostgresSettings {
            url: SecretString::from(url),
            ..database.postgres_settings()
        };
        PostgresStore::open(&settings).await.err().unwrap()
    };
    let away = open("postgres://ann:secret@127.0.0.1:1/talkgraph").await;
    assert!(matches!(away, StoreError::Unavailable(_)), "{away:?}");
    for url in ["postgres://ann:secret@[::1/talkgraph", "secret"] {
        let error = open(url).await;
        assert!(matches!(error, StoreError::Internal(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
