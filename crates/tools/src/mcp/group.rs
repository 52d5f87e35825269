//! Process groups: a program and all its descendants, as `npx`, `uvx` and shells start them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::guard::Guard;

/// The time that a group has to end by itself, and again after SIGTERM.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The interval between two checks of a group that is to end.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// The pipes of a program.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: Option<ChildStderr>,
}

/// A program's process group. Killed if it is dropped before it has ended.
pub(super) struct Group {
    child: Child,
    id: Pid,
    /// False once no process is left: the system may reuse the id.
    is_there: bool,
    guard: Arc<Guard>,
}

impl Group {
    /// Starts a program with its pipes as the leader of a new group, which the terminal's Ctrl-C
    /// does not reach.
    pub(super) fn start(mut command: Command, guard: &Arc<Guard>) -> io::Result<(Self, Pipes)> {
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.ok_or_else(|| io::Error::other("it has no process id"))?;
        guard.watch(id);
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take();
        let group = Self {
            child,
            id,
            is_there: true,
            guard: Arc::clone(guard),
        };
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => {
                let pipes = Pipes {
                    stdin,
                    stdout,
                    stderr,
                };
                Ok((group, pipes))
            }
            _ => Err(io::Error::other("a pipe is missing")),
        }
    }

    /// Waits for the end of all its processes, whose input is closed; then sends SIGTERM, then
    /// SIGKILL.
    pub(super) async fn end(mut self) -> io::Result<()> {
        if timeout(PATIENCE, self.gone()).await.is_ok() {
            return Ok(());
        }
        self.signal(Signal::TERM);
        if timeout(PATIENCE, self.gone()).await.is_ok() {
            return Ok(());
        }
        self.signal(Signal::KILL);
        match timeout(PATIENCE, self.gone()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(io::Error::other("its processes cannot be killed")),
        }
    }

    async fn gone(&mut self) {
        // The leader first: nothing else may take its exit status.
        let _ = self.child.wait().await;
        loop {
            // As the first process of a container this server inherits the orphans of its programs.
            while matches!(waitpgid(self.id, WaitOptions::NOHANG), Ok(Some(_))) {}
            if test_kill_process_group(self.id).is_err() {
                self.is_there = false;
                return;
            }
            sleep(LOOK).await;
        }
    }

    fn signal(&self, signal: Signal) {
        // A group that has ended needs no signal.
        let _ = kill_process_group(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.is_there {
            self.signal(Signal::KILL);
        }
        self.guard.forget(self.id);
    }
}
