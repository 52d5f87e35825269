//! The database goes away while answers are being made, and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::resume::check_log;
use crate::support::chaos::{Chaos, Network};
use crate::support::client::Client;
use crate::support::database::Database;
use crate::support::outage::{Outage, heedless};
use crate::support::process::{Process, program};
use crate::support::sse::Events;
use crate::support::talk::{
    SEND, WHOLE, chat, ended_run, events, follow, half_said, messages, run, run_events, send,
    string,
};
use crate::support::upstream::{Script, Step, Upstream};
use crate::support::wait::{PATIENCE, eventually};

/// How soon after the database's return everything goes on. Twice what is promised, for a
/// machine that is busy with other tests.
const RETURN: Duration = Duration::from_secs(4);

/// A server whose waits for its database are short.
struct Scene {
    upstream: Upstream,
    process: Process,
    client: Client,
    outage: Outage,
    _folder: TempDir,
}

/// A subscriber whose stream is open the whole time.
struct Watching {
    seen: Vec<Value>,
    stream: Events,
}

impl Watching {
    /// All events, once the run has ended.
    async fn rest(mut self) -> Vec<Value> {
        self.seen.extend(self.stream.rest().await);
        events(self.seen)
    }
}

impl Scene {
    async fn new(
        outage_s: u64,
        url: Option<&str>,
        outage: impl FnOnce(&Process, &TempDir) -> Outage,
    ) -> Self {
        let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
        let (base_url, outage_s) = (upstream.base_url(), outage_s.to_string());
        let mut settings = vec![
            ("models.openai.base_url", base_url.as_str()),
            ("runs.store_outage_s", &outage_s),
            ("store.connect_timeout_ms", "500"),
            ("store.statement_timeout_ms", "1000"),
            ("store.sqlite_busy_timeout_ms", "200"),
        ];
        if let Some(url) = url {
            settings.extend([("store.url", url), ("store.acquire_timeout_ms", "500")]);
        }
        let command = heedless(&program(folder.path(), &[], &settings));
        let process = Process::serve(command).await;
        Self {
            client: process.client(),
            outage: outage(&process, &folder),
            upstream,
            process,
            _folder: folder,
        }
    }

    async fn on_postgres(database: &Database, outage_s: u64, network: Network) -> Self {
        let Database::Postgres { url, .. } = database else {
            panic!("no PostgreSQL");
        };
        let chaos = Arc::new(Chaos::before(url).await);
        let url = chaos.url.clone();
        let outage = |_: &Process, _: &TempDir| Outage::Network(chaos, network);
        Self::new(outage_s, Some(&url), outage).await
    }

    async fn locked(outage_s: u64) -> Self {
        let outage =
            |_: &Process, folder: &TempDir| Outage::locked(&folder.path().join("talkgraph.db"));
        Self::new(outage_s, None, outage).await
    }

    async fn full(outage_s: u64) -> Self {
        let outage = |process: &Process, _: &TempDir| Outage::Full {
            process: process.id(),
        };
        Self::new(outage_s, None, outage).await
    }

    /// A run that has said its first half: ids of its session and itself.
    async fn half_way(&self, script: Script) -> (String, String) {
        self.upstream.then(script);
        let (session, id) = send(&self.client, None, "Count").await;
        self.upstream.wait_holding(1).await;
        eventually("what was said", async || {
            let last = run(&self.client, &id).await["lastSequence"].as_u64();
            last.filter(|last| *last >= 4)
        })
        .await;
        (session, id)
    }

    /// A subscriber who has seen the first half.
    async fn watch(&self, run: &str) -> Watching {
        let mut stream = follow(&self.client, run, 0).await;
        let mut seen = Vec::new();
        while seen.len() < 4 {
            seen.push(stream.next().await.unwrap());
        }
        Watching { seen, stream }
    }

    /// A start that is refused, and neither hangs nor is anybody else's fault.
    async fn refused(&self, input: &Value) {
        let refused = self.client.error(SEND, input).await;
        let code = &refused["extensions"]["code"];
        assert_eq!(code, "UNAVAILABLE", "{refused} {}", self.process.log());
    }

    /// Runs that were under way go on; nothing that was told is taken back.
    async fn outlasts(mut self) {
        let (session, id) = self.half_way(half_said()).await;
        let watching = self.watch(&id).await;
        let input = json!({ "input": { "message": { "text": "And me?" },
            "idempotencyKey": "mine" } });

        self.outage.begin().await;
        self.refused(&input).await;
        // The server hears the rest while it cannot write it.
        self.upstream.release();
        let mut written = self.upstream.written();
        written.wait_for(|written| *written > 0).await.unwrap();
        self.refused(&input).await;

        self.outage.end().await;
        let returned = Instant::now();
        let ended = ended_run(&self.client, &id).await;
        assert_eq!(
            ended["status"],
            "COMPLETED",
            "{ended} {}",
            self.process.log()
        );
        let session_of_mine = eventually("a start", async || {
            let mut response = self.client.response(SEND, &input).await;
            let id = response["data"]["sendMessage"]["session"]["id"].take();
            id.as_str().map(str::to_owned)
        })
        .await;
        let took = returned.elapsed();
        assert!(took < RETURN, "it took {took:?}: {}", self.process.log());

        assert_eq!(ended["output"]["text"], WHOLE);
        let log = run_events(&self.client, &id, 0).await;
        check_log(&log);
        assert_eq!(watching.rest().await, log);
        let expected = ["USER: Count".to_owned(), format!("ASSISTANT: {WHOLE}")];
        assert_eq!(messages(&self.client, &session).await, expected);
        // However often it was sent, whether or not one of the refused had been written.
        self.is_answered_once(&session_of_mine).await;
    }

    async fn is_answered_once(&self, session: &str) {
        let expected = ["USER: And me?", "ASSISTANT: echo 2: And me?"];
        eventually("the answer", async || {
            (messages(&self.client, session).await == expected).then_some(())
        })
        .await;
        let document = "{ sessions(first: 100) { nodes { id } } }";
        let sessions = self.client.data(document, &json!({})).await;
        let nodes = sessions["sessions"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2, "{sessions}");
    }

    /// What the model said during the outage is told soon after it, also when it says no more.
    async fn catches_up(mut self) {
        let (_, id) = self.half_way(thoughtful()).await;
        let mut watching = self.watch(&id).await;
        self.outage.begin().await;
        let input = json!({ "input": { "message": { "text": "And me?" } } });
        self.upstream.release();
        self.refused(&input).await;
        self.outage.end().await;
        let returned = Instant::now();
        let next = watching.stream.next().await.unwrap();
        let took = returned.elapsed();
        assert_eq!(next["data"]["runEvents"]["delta"], "three", "{next}");
        assert!(took < RETURN, "it took {took:?}: {}", self.process.log());
    }

    /// An outage that is longer than a run may wait.
    async fn gives_up(mut self) {
        let (session, id) = self.half_way(unending()).await;
        let watching = self.watch(&id).await;
        self.outage.begin().await;
        self.upstream.release();
        // What is tested is a length of time.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        self.outage.end().await;

        let ended = ended_run(&self.client, &id).await;
        assert_eq!(ended["status"], "FAILED", "{ended} {}", self.process.log());
        assert_eq!(ended["error"]["code"], "STORE_UNAVAILABLE", "{ended}");
        assert_eq!(ended["error"]["retryable"], true, "{ended}");
        let text = string(&ended["output"]["text"]);
        assert!(text.starts_with("one two "), "{text}");
        let log = run_events(&self.client, &id, 0).await;
        check_log(&log);
        assert_eq!(watching.rest().await, log);
        let next = chat(&self.client, Some(&session), "Again").await;
        assert_eq!(next["message"]["text"], "echo 4: Again");
    }
}

/// As [`half_said`], and then the model goes on for longer than any test.
fn unending() -> Script {
    let said = Script::stream().text(["one ", "two "]).hold();
    let pause = Duration::from_millis(50);
    let more = |said: Script, _| said.step(Step::Pause(pause)).text(["three "]);
    (0..1_000).fold(said, more).ended()
}

/// As [`half_said`], and then the model thinks for longer than any test.
fn thoughtful() -> Script {
    let said = Script::stream().text(["one ", "two "]).hold();
    said.text(["three"]).step(Step::Pause(2 * PATIENCE)).ended()
}

pub(crate) async fn a_cut_connection_is_outlasted(db: Arc<Database>) {
    let scene = Scene::on_postgres(&db, 60, Network::Cut).await;
    scene.outlasts().await;
}

pub(crate) async fn a_network_without_a_word_is_outlasted(db: Arc<Database>) {
    let scene = Scene::on_postgres(&db, 60, Network::Stalled).await;
    scene.outlasts().await;
}

pub(crate) async fn lost_answers_are_outlasted(db: Arc<Database>) {
    let scene = Scene::on_postgres(&db, 60, Network::Deaf).await;
    scene.outlasts().await;
}

pub(crate) async fn an_outage_may_be_too_long(db: Arc<Database>) {
    let scene = Scene::on_postgres(&db, 1, Network::Cut).await;
    scene.gives_up().await;
}

/// A server whose database is away is not ready, and is again.
pub(crate) async fn readiness_follows_the_database(db: Arc<Database>) {
    let mut scene = Scene::on_postgres(&db, 60, Network::Cut).await;
    let is = async |status: u16| {
        let ready = scene.client.request(reqwest::Method::GET, "/health/ready");
        (ready.send().await.ok()?.status() == status).then_some(())
    };
    eventually("readiness", async || is(200).await).await;
    scene.outage.begin().await;
    eventually("the outage", async || is(503).await).await;
    scene.outage.end().await;
    eventually("readiness again", async || is(200).await).await;
}

#[tokio::test]
async fn a_locked_database_is_outlasted() {
    Scene::locked(60).await.outlasts().await;
}

#[tokio::test]
async fn a_lock_leaves_nothing_behind() {
    Scene::locked(60).await.catches_up().await;
}

#[tokio::test]
async fn a_lock_may_be_too_long() {
    Scene::locked(1).await.gives_up().await;
}

#[tokio::test]
async fn a_full_disk_is_outlasted() {
    Scene::full(60).await.outlasts().await;
}

#[tokio::test]
async fn a_disk_may_be_full_for_too_long() {
    Scene::full(1).await.gives_up().await;
}
