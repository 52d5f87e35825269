//! One worker, on its own side: reads jobs from its standard input, one after the other.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::frame::{REPLY_BYTES, frame, read, write};
use super::job::{Hello, Job, Ready, Reply, VERSION};
use super::performer::Performer;

/// The stack of the thread that executes the jobs, in bytes. Unused memory is not allocated.
const STACK_BYTES: usize = 64 << 20;

/// Memory that a worker needs in addition to its jobs': stacks, buffers, the allocator's reserve.
const OWN_BYTES: u64 = 64 << 20;

/// The niceness of a worker: the server's own work comes first.
const NICENESS: i32 = 5;

/// The time limit of a job in a worker whose server is gone or does not kill it, as a multiple of
/// the job's own limit.
const PATIENCE: u32 = 4;

/// Executes jobs until the standard input ends: the command `talkgraph evaluate`.
///
/// The exit code has no meaning for the server, which reads the replies.
pub fn serve() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn work() -> io::Result<()> {
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    let Some(hello) = read(&mut from)? else {
        return Ok(());
    };
    let hello: Hello = serde_json::from_slice(&hello)?;
    let (send_job, jobs) = mpsc::channel::<Vec<u8>>();
    let (send_reply, replies) = mpsc::channel();
    std::thread::Builder::new()
        .name("evaluation".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let mut performer = Performer::default();
            for job in jobs {
                if send_reply.send(reply(&mut performer, &job)).is_err() {
                    return;
                }
            }
        })?;
    limit(&hello)?;
    let ready = Ready {
        version: VERSION.to_owned(),
    };
    write(&mut to, &frame(&ready)?)?;
    let patience = Duration::from_millis(hello.job_timeout_ms).saturating_mul(PATIENCE);
    while let Some(job) = read(&mut from)? {
        send_job.send(job).map_err(io::Error::other)?;
        let reply = replies.recv_timeout(patience).map_err(io::Error::other)?;
        answer(&mut to, &reply)?;
    }
    Ok(())
}

fn answer(to: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let mut bytes = frame(reply)?;
    if bytes.len() > REPLY_BYTES {
        bytes = frame(&Reply::TooLarge)?;
    }
    write(to, &bytes)
}

fn reply(performer: &mut Performer, job: &[u8]) -> Reply {
    match serde_json::from_slice::<Job<'_>>(job) {
        Ok(job) => performer.perform(&job),
        // The server has written it: only its depth can be wrong.
        Err(_) => Reply::TooDeep,
    }
}

/// Limits the memory of this process. Memory that is already in use, such as its program, is not
/// counted.
fn limit(hello: &Hello) -> io::Result<()> {
    let set = |resource, most| {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
    };
    set(Resource::Core, 0)?;
    if let Some(used) = virtual_bytes() {
        let most = used.saturating_add(hello.memory_bytes.saturating_add(OWN_BYTES));
        set(Resource::As, most)?;
    }
    // A worker without permission for that works as well.
    let _ = nice(NICENESS);
    Ok(())
}

/// The address space of this process, in bytes, if the system reports it.
fn virtual_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))?;
    let kilobytes: u64 = size.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}
