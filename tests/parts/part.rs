//! A program that a test starts and speaks with.

#![allow(dead_code, reason = "no test program uses all of it")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::server::repository;
use crate::support::wait::eventually;

/// A running program; killed when it is dropped.
pub(crate) struct Part {
    child: Child,
    output: Arc<Mutex<String>>,
}

/// A path of what `scripts/parts` installs.
pub(crate) fn installed(path: &str) -> String {
    let path = repository(path);
    assert!(
        Path::new(&path).exists(),
        "{path} is not there: run scripts/parts"
    );
    path
}

/// A program of the Python environment.
pub(crate) fn python(program: &str) -> String {
    installed(&format!("target/tools/parts-quick/bin/{program}"))
}

/// A package of the node environment.
pub(crate) fn node(path: &str) -> String {
    installed(&format!("tests/parts/node_modules/{path}"))
}

/// A free port. Another program may take it before its owner does; nothing here does.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Part {
    /// Starts it, with nothing of this environment but the path and a home of its own.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = Arc::default();
        collect(child.stdout.take().unwrap(), Arc::clone(&output));
        collect(child.stderr.take().unwrap(), Arc::clone(&output));
        Self { child, output }
    }

    /// Waits for a line that begins so, and gives its rest.
    pub(crate) async fn says(&mut self, start: &str) -> String {
        let said = eventually(start, async || {
            let output = self.output.lock().unwrap().clone();
            let line = output.lines().find_map(|line| line.split_once(start));
            if line.is_none()
                && let Some(status) = self.child.try_wait().unwrap()
            {
                panic!("it ended with {status}: {output}");
            }
            line.map(|(_, rest)| rest.trim().to_owned())
        });
        said.await
    }
}

impl Part {
    /// As [`Part::says`], of a program that takes minutes to start.
    pub(crate) async fn says_at_last(&mut self, start: &str) {
        for _ in 0..1_800 {
            let output = self.output.lock().unwrap().clone();
            if output.contains(start) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}: {output}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "waited minutes for {start}: {}",
            self.output.lock().unwrap()
        );
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: impl std::io::Read + Send + 'static, to: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut output = to.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}
