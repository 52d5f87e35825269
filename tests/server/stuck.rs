//! Tasks that hold on to their thread, in a process of its own: this test program once more.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use talkgraph::cli::{block_on, serve};
use talkgraph::config::{Settings, Sources};
use tempfile::TempDir;

use crate::support::faulty::{Fault, Faulty};
use crate::support::process::{Process, program};
use crate::support::wait::eventually;

/// Names the file that makes tasks stick, in the process that has such tasks.
const FILE: &str = "STUCK_WHILE";

/// Threads of the runtime.
const WORKERS: usize = 2;

/// The query that is stuck.
const QUERY: &str = "{ sessions { nodes { id } } }";

const STUCK: &str = "task blocks its thread";

/// The server that sticks, where it is asked for; no test by itself.
#[test]
fn the_process() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let sources = Sources::of_process(None);
    let settings = Settings::load(&sources).unwrap();
    let around = |store| {
        Arc::new(Faulty {
            store,
            methods: &["sessions"],
            fault: Fault::stick(file),
        }) as _
    };
    block_on(serve(&settings, sources, around))
        .unwrap()
        .unwrap();
}

struct Scene {
    process: Process,
    file: PathBuf,
    _folder: TempDir,
}

impl Scene {
    async fn new(settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("stuck");
        let like = program(folder.path(), &[], settings);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "stuck::the_process", "--nocapture"])
            .current_dir(folder.path())
            .env_clear()
            .envs(
                like.get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .env("TOKIO_WORKER_THREADS", WORKERS.to_string())
            .env(FILE, &file);
        let process = Process::serve(command).await;
        std::fs::write(&file, "").unwrap();
        Self {
            process,
            file,
            _folder: folder,
        }
    }

    /// Has so many requests stick.
    fn stick(&self, count: usize) {
        for _ in 0..count {
            let client = self.process.client();
            tokio::spawn(async move {
                let request = client.request(reqwest::Method::POST, "/graphql");
                let request = request.header("x-request-id", "the-stuck-one");
                // No request is answered while it is stuck.
                let _ = request.json(&json!({ "query": QUERY })).send().await;
            });
        }
    }

    async fn wait_logged(&self, text: &str, times: usize) {
        eventually(text, async || {
            (self.process.log().matches(text).count() >= times).then_some(())
        })
        .await;
    }

    /// Returns true when it is alive; none if it does not answer.
    async fn is_live(&self) -> Option<bool> {
        let client = self.process.client();
        let live = client.request(reqwest::Method::GET, "/health/live");
        let live = live.timeout(Duration::from_millis(500)).send();
        Some(live.await.ok()?.status() == 200)
    }

    async fn wait_live(&self, is_live: bool) {
        eventually("liveness", async || {
            (self.is_live().await == Some(is_live)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_stuck_thread_is_told_of() {
    let scene = Scene::new(&[("telemetry.stuck_after_ms", "300")]).await;
    scene.wait_live(true).await;
    scene.stick(1);
    scene.wait_live(false).await;
    scene.wait_logged(STUCK, 1).await;
    let log = scene.process.log();
    assert_eq!(log.matches(STUCK).count(), 1, "{log}");
    let line = log.lines().find(|line| line.contains(STUCK)).unwrap();
    assert!(
        line.contains("a request") && line.contains("the-stuck-one"),
        "{line}"
    );
    std::fs::remove_file(&scene.file).unwrap();
    scene.wait_live(true).await;
    scene.wait_logged("task released its thread", 1).await;
}

#[tokio::test]
async fn a_server_whose_threads_are_all_stuck_ends_in_its_time() {
    let settings = [
        ("telemetry.stuck_after_ms", "300"),
        ("http.drain_timeout_ms", "200"),
        ("http.stop_grace_ms", "1500"),
    ];
    let mut scene = Scene::new(&settings).await;
    scene.stick(2 * WORKERS);
    scene.wait_logged(STUCK, WORKERS).await;
    assert_eq!(scene.is_live().await, None, "no thread is left to answer");
    scene.process.terminate();
    assert_eq!(scene.process.exit_code().await, Some(4));
    let log = scene.process.log();
    assert!(log.contains("server did not stop in time"), "{log}");
}

#[tokio::test]
async fn a_second_signal_ends_a_stuck_server_at_once() {
    let mut scene = Scene::new(&[("telemetry.stuck_after_ms", "300")]).await;
    scene.stick(2 * WORKERS);
    scene.wait_logged(STUCK, WORKERS).await;
    // Two signals that come before the first is heard are one.
    let code = eventually("the end", async || {
        scene.process.terminate_again();
        scene.process.ended()
    })
    .await;
    assert_eq!(code, Some(130));
}
