//! A worker's process, on the server's side.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::frame::{frame, read_reply};
use super::job::{Hello, Ready, Reply, VERSION};
use super::{EvaluationLimits, Failure};

/// The argument that makes the program a worker.
const COMMAND: &str = "evaluate";

/// The maximum that a worker's allocator may reserve at once, in KiB: reserved memory counts as
/// used.
const ARENA: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "32768");

/// The signal with which an operator ends processes.
const SIGTERM: i32 = 15;

/// The longest time for the exit of a worker that has closed its end.
const GOING: Duration = Duration::from_secs(1);

/// A worker's process. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

/// The reason why a job has no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The deadline has passed.
    Late,
    /// The job has killed the worker.
    Died,
    /// Another process ended the worker.
    Ended,
}

impl Worker {
    /// Starts a worker and waits until it has set its limits.
    pub(super) async fn start(limits: &EvaluationLimits) -> Result<Self, Failure> {
        let started = tokio::time::timeout(limits.start_timeout, Self::begin(limits));
        match started.await {
            Ok(Ok(worker)) => Ok(worker),
            Ok(Err(error)) => Err(Failure::Unavailable(format!("no worker: {error}"))),
            Err(_) => Err(Failure::Unavailable("no worker in time".to_owned())),
        }
    }

    async fn begin(limits: &EvaluationLimits) -> io::Result<Self> {
        let mut child = Command::new(program(limits.program.as_deref())?)
            .arg(COMMAND)
            // A worker needs no secrets.
            .env_clear()
            .env(ARENA.0, ARENA.1)
            .current_dir("/")
            // Ctrl-C is for the server, which still needs the worker.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (Some(to), Some(from)) = (to, from) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let mut worker = Self { child, to, from };
        let hello = Hello {
            memory_bytes: limits.memory_bytes,
            job_timeout_ms: u64::try_from(limits.job_timeout.as_millis()).unwrap_or(u64::MAX),
        };
        worker.to.write_all(&frame(&hello)?).await?;
        let Ready { version } = read_reply(&mut worker.from).await?;
        match version == VERSION {
            true => Ok(worker),
            false => Err(io::Error::other(format!(
                "its version is {version:?}, not {VERSION:?}"
            ))),
        }
    }

    /// Returns false for a worker that has ended.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Executes a job.
    pub(super) async fn exchange(&mut self, job: &[u8], within: Duration) -> Result<Reply, Lost> {
        let exchange = async {
            self.to.write_all(job).await?;
            read_reply(&mut self.from).await
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(self.end().await),
            Err(_) => Err(Lost::Late),
        }
    }

    async fn end(&mut self) -> Lost {
        match tokio::time::timeout(GOING, self.child.wait()).await {
            Ok(Ok(status)) if status.signal() == Some(SIGTERM) => Lost::Ended,
            _ => Lost::Died,
        }
    }
}

/// This program, also after its file was replaced by another version's.
fn program(set: Option<&Path>) -> io::Result<PathBuf> {
    match set {
        Some(program) => std::path::absolute(program),
        None if cfg!(target_os = "linux") => Ok(PathBuf::from("/proc/self/exe")),
        None => std::env::current_exe(),
    }
}
