//! The guard: a process of this program that ends the process groups of MCP servers if this server
//! dies before it has done so, for example because it was killed.
//!
//! The kernel's own means, PR_SET_PDEATHSIG, reaches a program but not its descendants, and needs
//! code between fork and exec. The guard reads the groups from a pipe, which ends with this server
//! in any case.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::group::{LOOK, PATIENCE};

/// The argument that makes this program a guard.
const COMMAND: &str = "guard";

/// The server's handle of the guard. Started with the first program.
#[derive(Debug)]
pub struct Guard {
    program: PathBuf,
    /// Its process, once started; the error is a failed start.
    process: Mutex<Option<Result<Child, ()>>>,
}

impl Guard {
    /// Creates a guard that runs this program; another executable only where `program` says so, as
    /// in tests.
    pub fn new(program: Option<PathBuf>) -> Self {
        // Works also after the file was replaced by another version's.
        let own = || match cfg!(target_os = "linux") {
            true => Ok(PathBuf::from("/proc/self/exe")),
            false => std::env::current_exe(),
        };
        let program = program.map_or_else(own, std::path::absolute);
        Self {
            program: program.unwrap_or_default(),
            process: Mutex::default(),
        }
    }

    /// Registers a group to be ended if this server dies.
    pub(super) fn watch(&self, group: Pid) {
        self.say(&format!("+{}\n", group.as_raw_nonzero()));
    }

    /// Removes a group that has ended.
    pub(super) fn forget(&self, group: Pid) {
        self.say(&format!("-{}\n", group.as_raw_nonzero()));
    }

    /// Writes a line, which is short enough never to block.
    fn say(&self, line: &str) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let process = process.get_or_insert_with(|| self.start().map_err(|error| failed(&error)));
        let Ok(child) = process else { return };
        let said = match &mut child.stdin {
            Some(pipe) => pipe.write_all(line.as_bytes()),
            None => Err(io::Error::other("a pipe is missing")),
        };
        if let Err(error) = said {
            failed(&error);
            *process = Err(());
        }
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.program)
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

fn failed(error: &io::Error) {
    tracing::warn!(%error, "starting the MCP guard failed: programs may outlive a killed server");
}

/// Guards process groups until the standard input ends, and then ends those that are left: the
/// command `talkgraph guard`.
pub fn serve() -> ExitCode {
    let mut groups = BTreeSet::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let (Some(group), is_new) = (line.get(1..), line.starts_with('+')) else {
            continue;
        };
        match (group.parse::<i32>(), is_new) {
            (Ok(group), true) => drop(groups.insert(group)),
            (Ok(group), false) => drop(groups.remove(&group)),
            (Err(_), _) => {}
        }
    }
    let groups: Vec<Pid> = groups.into_iter().filter_map(Pid::from_raw).collect();
    // Their input has ended, too.
    for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        let began = Instant::now();
        let lives = |group: &&Pid| test_kill_process_group(**group).is_ok();
        for group in groups.iter().filter(lives) {
            if let Some(signal) = signal {
                let _ = kill_process_group(*group, signal);
            }
        }
        while began.elapsed() < PATIENCE && groups.iter().any(|group| lives(&group)) {
            pause();
        }
    }
    ExitCode::SUCCESS
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process has no runtime, and nothing else to do"
)]
fn pause() {
    std::thread::sleep(LOOK);
}
