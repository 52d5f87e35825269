//! The server's memory and handles, over time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::support::process::Process;
use crate::support::wait::eventually;
use crate::world::World;

/// The number of samples taken in all.
const SAMPLES: u32 = 120;

/// The growth of memory from early on to the end that counts as none: allocators are not exact.
const GROWTH_PERCENT: u64 = 10;
const GROWTH_BYTES: u64 = 8 << 20;

/// Files and sockets that a server may have open without clients, beyond those at its start:
/// its database's readers.
const IDLE_HANDLES: usize = 40;

#[derive(Clone, Copy)]
struct Sample {
    memory: u64,
    handles: usize,
    threads: usize,
    disk: u64,
}

pub(crate) struct Gauge {
    process: PathBuf,
    folder: PathBuf,
    at_start: Sample,
    samples: Vec<Sample>,
}

impl Gauge {
    pub(crate) fn new(server: &Process, folder: &Path) -> Self {
        let process = Path::new("/proc").join(server.id().to_string());
        let at_start = sample(&process, folder);
        Self {
            process,
            folder: folder.to_owned(),
            at_start,
            samples: Vec::new(),
        }
    }

    /// Takes samples for as long as the soak lasts. Someone who ends early has failed.
    pub(crate) async fn watch(
        &mut self,
        time: Duration,
        world: &Arc<World>,
        people: &mut JoinSet<()>,
    ) {
        let begin = Instant::now();
        for number in 1..=SAMPLES {
            tokio::select! {
                () = sleep_until(begin + time * number / SAMPLES) => {}
                Some(ended) = people.join_next() => {
                    ended.unwrap();
                    panic!("someone left early");
                }
            }
            let sample = sample(&self.process, &self.folder);
            self.samples.push(sample);
            if number % (SAMPLES / 12) == 0 {
                let seconds = begin.elapsed().as_secs();
                crate::say(&format!("{seconds} s: {sample}; {}", world.summary()));
            }
        }
    }

    /// Fails when the last sixth of the samples is larger than the third: caches take some twenty
    /// minutes of an hour to fill.
    pub(crate) fn assert_flat(&self) {
        let sixth = self.samples.len() / 6;
        let early = &self.samples[2 * sixth..3 * sixth];
        let late = &self.samples[self.samples.len() - sixth..];
        let (was, is) = (
            median(early, |one| one.memory),
            median(late, |one| one.memory),
        );
        crate::say(&format!(
            "memory: median {} early, {} late",
            mib(was),
            mib(is)
        ));
        assert!(
            is <= was + was * GROWTH_PERCENT / 100 + GROWTH_BYTES,
            "memory grew from {} to {}",
            mib(was),
            mib(is)
        );
        let handles = |one: &Sample| one.handles as u64;
        let (was, is) = (median(early, handles), median(late, handles));
        crate::say(&format!("handles: median {was} early, {is} late"));
        assert!(is <= was + was / 10 + 10, "handles grew from {was} to {is}");
    }

    /// Waits until the handles of all clients are closed.
    pub(crate) async fn assert_handles_given_back(&self) {
        let most = self.at_start.handles + IDLE_HANDLES;
        eventually("the handles of clients that left", async || {
            let now = sample(&self.process, &self.folder);
            (now.handles <= most).then(|| crate::say(&format!("after all left: {now}")))
        })
        .await;
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "memory {}, {} handles, {} threads, {} on disk",
            mib(self.memory),
            self.handles,
            self.threads,
            mib(self.disk)
        )
    }
}

fn sample(process: &Path, folder: &Path) -> Sample {
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let files = std::fs::read_dir(folder).unwrap().flatten();
    Sample {
        memory: number("VmRSS:") * 1024,
        handles: std::fs::read_dir(process.join("fd")).unwrap().count(),
        threads: usize::try_from(number("Threads:")).unwrap(),
        disk: files
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum(),
    }
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
