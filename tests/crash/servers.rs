//! The servers: processes that share a database and come back after each death.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::support::outage::heedless;
use crate::support::process::{Process, program};
use crate::world::World;

pub(crate) struct Servers {
    world: Arc<World>,
    folder: TempDir,
    settings: Vec<(String, String)>,
    running: Vec<Option<Process>>,
    /// What those that have died had logged.
    logs: Vec<String>,
    evidence: PathBuf,
}

impl Servers {
    /// Starts so many servers.
    pub(crate) async fn start(
        world: &Arc<World>,
        count: usize,
        settings: Vec<(String, String)>,
        seed: u64,
    ) -> Self {
        let evidence = format!("crash-{seed}-{}", std::process::id());
        let mut servers = Self {
            world: Arc::clone(world),
            folder: TempDir::new().unwrap(),
            settings,
            running: (0..count).map(|_| None).collect(),
            logs: Vec::new(),
            evidence: Path::new(env!("CARGO_TARGET_TMPDIR")).join(evidence),
        };
        for server in 0..count {
            servers.spawn(server);
            servers.ready(server).await;
        }
        servers
    }

    pub(crate) fn count(&self) -> usize {
        self.running.len()
    }

    /// The file of its database, if it has one.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("talkgraph.db")
    }

    /// Begins to start a server.
    pub(crate) fn spawn(&mut self, server: usize) {
        let settings = self.settings.iter();
        let settings: Vec<_> = settings.map(|(key, value)| (&**key, &**value)).collect();
        let command = program(self.folder.path(), &[], &settings);
        self.running[server] = Some(Process::spawn(heedless(&command)));
    }

    /// The process of a server that runs.
    pub(crate) fn process(&self, server: usize) -> u32 {
        self.running[server].as_ref().unwrap().id()
    }

    /// Waits until a server is there, and tells everybody.
    pub(crate) async fn ready(&mut self, server: usize) {
        let process = self.running[server].as_mut().unwrap();
        process.ready().await;
        let address = process.address.clone();
        self.world.set_address(server, Some(address));
    }

    /// Kills a server, whatever it is doing.
    pub(crate) async fn kill(&mut self, server: usize) {
        self.running[server].as_mut().unwrap().kill();
        assert_eq!(self.gone(server).await, None);
    }

    /// Stops all servers, which have nothing left to do.
    pub(crate) async fn end(&mut self) {
        for server in 0..self.count() {
            assert_eq!(self.stop(server).await, Some(0), "{:?}", self.logs.last());
        }
    }

    /// Kills a server that may have come to its own end.
    pub(crate) async fn kill_stopping(&mut self, server: usize) {
        self.running[server].as_mut().unwrap().kill();
        let code = self.gone(server).await;
        assert!(matches!(code, None | Some(0 | 3)), "{code:?}");
    }

    /// Asks a server to stop and waits until it has. Its exit code.
    pub(crate) async fn stop(&mut self, server: usize) -> Option<i32> {
        self.ask_to_stop(server);
        self.gone(server).await
    }

    /// The runs that servers executed alone and died meanwhile, according to their logs.
    pub(crate) fn made_alone(&self) -> HashSet<String> {
        let lines = self.logs.iter().flat_map(|log| log.lines());
        let alone = lines.filter(|line| line.contains("a suspect is made alone"));
        let runs = alone.filter_map(|line| {
            let id = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            id.into_iter().find(|word| word.starts_with("run_"))
        });
        runs.map(str::to_owned).collect()
    }

    /// Asks a server to stop.
    pub(crate) fn ask_to_stop(&self, server: usize) {
        self.running[server].as_ref().unwrap().terminate();
    }

    /// Waits for the end of a server; its exit code, if it was not killed.
    async fn gone(&mut self, server: usize) -> Option<i32> {
        let mut process = self.running[server].take().unwrap();
        let code = process.exit_code().await;
        self.world.set_address(server, None);
        self.logs.push(process.log());
        code
    }

    /// Keeps what may tell why the test has failed.
    fn keep_evidence(&mut self) -> std::io::Result<()> {
        let running = self.running.iter_mut().flatten();
        self.logs.extend(running.map(|process| process.log()));
        self.running.clear();
        std::fs::create_dir_all(&self.evidence)?;
        std::fs::write(self.evidence.join("servers.log"), self.logs.join("---\n"))?;
        for entry in std::fs::read_dir(self.folder.path())? {
            let entry = entry?;
            std::fs::copy(entry.path(), self.evidence.join(entry.file_name()))?;
        }
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        match self.keep_evidence() {
            Ok(()) => crate::say(&format!("logs and database: {}", self.evidence.display())),
            Err(error) => crate::say(&format!("no evidence was kept: {error}")),
        }
    }
}
