//! Child processes: started on a core, stopped when dropped, and what they have used.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::serve::{Listener, ListenerExt};
use tokio::net::TcpListener;

use super::Outcome;
use super::table::say;

/// One tick of the kernel's accounting, on every Linux that matters (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// The core of the measured server, and the one of everything around it.
pub(crate) struct Cores(Option<(usize, usize)>);

impl Cores {
    /// The first two cores this process may use. None when there is just one, or no
    /// `taskset`: then the rivals of the server take its time, and the numbers say less.
    pub(crate) fn of_this_machine() -> io::Result<Self> {
        let cores = cores_of(&std::fs::read_to_string("/proc/self/status")?);
        let taskset = Command::new("taskset").arg("--version").output().is_ok();
        Ok(Self(match cores.as_slice() {
            [server, rest, ..] if taskset => Some((*server, *rest)),
            _ => None,
        }))
    }

    /// Runs on the core of the measured server.
    pub(crate) fn server(&self, program: impl AsRef<OsStr>) -> Command {
        pinned(self.0.map(|(server, _)| server), program)
    }

    /// Runs on the other core.
    pub(crate) fn rest(&self, program: impl AsRef<OsStr>) -> Command {
        pinned(self.0.map(|(_, rest)| rest), program)
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((server, rest)) => write!(f, "server on core {server}, the rest on core {rest}"),
            None => write!(
                f,
                "NOT PINNED: that takes two cores and the command taskset"
            ),
        }
    }
}

/// The cores in `Cpus_allowed_list: 0-3,8`.
fn cores_of(status: &str) -> Vec<usize> {
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let ranges = list.unwrap_or_default().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

fn pinned(core: Option<usize>, program: impl AsRef<OsStr>) -> Command {
    let Some(core) = core else {
        return Command::new(program);
    };
    // taskset becomes the program it starts, so the process id is the program's.
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// The machine's load, without which no number here can be judged.
pub(crate) fn load_average() -> io::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let minute = load.split(' ').next().unwrap_or_default();
    Ok(format!("load average before: {minute}"))
}

/// A server as a child process.
pub(crate) struct Running {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Running {
    /// Starts a server and waits for a line that names its address: of the log where that is
    /// piped, else of the output.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let output: Box<dyn Read + Send> = match child.stderr.take() {
            Some(log) => Box::new(log),
            None => Box::new(stdout),
        };
        let (mut output, mut said) = (BufReader::new(output), String::new());
        let address = loop {
            let begin = said.len();
            if output.read_line(&mut said)? == 0 {
                return Err(format!("{command:?} said {said:?}").into());
            }
            if let Some(address) = address_in(&said[begin..]) {
                break address;
            }
        };
        // Read on, so that it never waits for a reader of its output.
        std::thread::spawn(move || io::copy(&mut output, &mut io::sink()));
        Ok(Self { child, address })
    }

    /// The processor time it has used.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The program's name, in parentheses, may have spaces in it (proc(5)).
        let (_, rest) = stat.rsplit_once(')').ok_or("/proc/PID/stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field).unwrap_or(&"").parse::<u32>();
        Ok(TICK * (ticks(11)? + ticks(12)?))
    }

    /// The processor time that its threads have used, to the nanosecond. Of a thread that has
    /// ended nothing is counted any more.
    pub(crate) fn cpu_of_threads(&self) -> Outcome<Duration> {
        let mut sum = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // It may have ended meanwhile.
            let times = std::fs::read_to_string(thread?.path().join("schedstat"));
            let times = times.unwrap_or_default();
            let nanoseconds = times.split(' ').next().unwrap_or_default();
            sum += Duration::from_nanos(nanoseconds.parse().unwrap_or(0));
        }
        Ok(sum)
    }

    /// The memory it holds, in MB.
    pub(crate) fn memory_mb(&self) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap_or_default().trim().trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? * 1024.0 / 1e6)
    }
}

fn address_in(line: &str) -> Option<String> {
    let start = line.find("127.0.0.1:")?;
    let address = line[start..].split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':');
    address.into_iter().next().map(str::to_owned)
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Listens on a free port and says so in the first line of the output.
pub(crate) async fn listen() -> io::Result<impl Listener<Addr = SocketAddr>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&listener.local_addr()?.to_string())?;
    // Otherwise the second packet of an answer waits some 40 ms for the first one's
    // acknowledgement.
    Ok(listener.tap_io(|connection| drop(connection.set_nodelay(true))))
}

/// The server itself, with its default settings, its database in `folder` and `upstream` as
/// its model provider.
pub(crate) fn talkgraph(mut command: Command, folder: &Path, upstream: &str) -> Command {
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("PORT", "0")
        .env(
            "DATABASE_URL",
            format!("sqlite://{}/talkgraph.db", folder.display()),
        )
        .env("OPENAI_BASE_URL", format!("http://{upstream}/v1"))
        .env(
            "TALKGRAPH_AGENTS__FOLDER",
            concat!(env!("CARGO_MANIFEST_DIR"), "/agents"),
        )
        .current_dir(folder)
        .arg("serve")
        .stderr(Stdio::piped());
    command
}
