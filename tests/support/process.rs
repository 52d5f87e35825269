//! The program itself, as a process.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::client::Client;
use super::server::{MCP, repository, tools_settled, variable};
use super::wait::{eventually, soon};

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with arguments and settings, in a folder, with nothing else in its environment.
pub(crate) fn program(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkgraph"));
    let store = format!("sqlite://{}", folder.join("talkgraph.db").display());
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env(variable("http.port"), "0")
        // Where no one looks at readiness there is nothing to wait for.
        .env(variable("http.shutdown_delay_ms"), "0")
        .env(variable("store.url"), store)
        .env(variable("agents.folder"), repository("agents"))
        // A port that nobody listens on; a provider that is there sets its own.
        .env(variable("models.openai.base_url"), "http://127.0.0.1:9/v1");
    for (key, value) in settings {
        command.env(variable(key), value);
    }
    command
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let output = soon("the program's end", ended).await.unwrap().unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: plain(&String::from_utf8(output.stderr).unwrap()),
    }
}

/// The standard error of a command, with the end that it logged as a person reads it.
fn plain(stderr: &str) -> String {
    let line = |line: &str| {
        let logged: Option<serde_json::Value> = serde_json::from_str(line).ok();
        match logged.as_ref().and_then(|logged| logged["error"].as_str()) {
            Some(error) => format!("talkgraph: {error}\n"),
            None => format!("{line}\n"),
        }
    };
    stderr.lines().map(line).collect()
}

/// A server in a process of its own. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens; empty until it is known.
    pub(crate) address: String,
    said: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a server and waits until it says where it listens, and for its MCP servers.
    pub(crate) async fn serve(command: Command) -> Self {
        let folder = command.get_current_dir().map(Path::to_owned);
        let file = folder.map(|folder| std::fs::read_to_string(folder.join("talkgraph.toml")));
        let mut process = Self::spawn(command);
        process.ready().await;
        if file.is_some_and(|file| file.is_ok_and(|file| file.contains(MCP))) {
            tools_settled(&process.address).await;
        }
        process
    }

    /// Starts a server, and leaves it to itself.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = reader(child.stdout.take().unwrap());
        let log = reader(child.stderr.take().unwrap());
        Self {
            child,
            address: String::new(),
            said,
            log,
        }
    }

    /// Waits until it says where it listens.
    pub(crate) async fn ready(&mut self) {
        self.address = eventually("the server to serve", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.log());
            }
            let log = self.log.lock().unwrap();
            let mut lines = log.lines().filter(|line| line.contains("\"serving\""));
            let line: serde_json::Value = serde_json::from_str(lines.next()?).ok()?;
            line["address"].as_str().map(str::to_owned)
        })
        .await;
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address, None)
    }

    /// The memory that it has in use, in bytes (Linux).
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that it has ever had in use, in bytes (Linux).
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The processor time that it has used, in milliseconds (Linux).
    pub(crate) fn cpu_ms(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name, in brackets, may have spaces.
        let (_, rest) = stat.rsplit_once(')').unwrap();
        let ticks = rest.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Asks once more, also one that has just ended.
    pub(crate) fn terminate_again(&self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).output();
    }

    /// The exit code of its end, if it has ended and no signal has ended it.
    pub(crate) fn ended(&mut self) -> Option<Option<i32>> {
        let status = self.child.try_wait().unwrap();
        status.map(|status| status.code())
    }

    /// Tells it to read its agent files again.
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// Ends it as a power cut would, at once (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Its id among the processes.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; none when a signal ended it.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let child = &mut self.child;
        let status = eventually("the process's end", async || child.try_wait().unwrap()).await;
        status.code()
    }

    /// Its standard output so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects what a process writes, so that it never has to wait for us.
fn reader(from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let collected: Arc<Mutex<String>> = Arc::default();
    let to = Arc::clone(&collected);
    std::thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
            *to.lock().unwrap() += &line;
            line.clear();
        }
    });
    collected
}
