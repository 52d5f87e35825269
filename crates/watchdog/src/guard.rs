//! The thread that checks for stuck tasks, and ends the process.

use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use super::scan::Scan;

/// The exit code of a process that did not stop in time.
const BY_FORCE: i32 = 4;

/// The exit code of a process that a second signal has ended.
const AT_ONCE: i32 = 130;

/// The longest interval between two checks.
const LOOK: Duration = Duration::from_secs(1);

/// The time that a second signal leaves to the server itself.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Limits of the watchdog.
#[derive(Debug, Clone, Copy)]
pub struct EndSettings {
    /// The longest time a task may hold on to its thread.
    pub stuck_after: Duration,
    /// The longest time the process may take to end after the signal that stops it.
    pub end_after: Duration,
}

/// The thread. It lasts as long as the process.
pub struct Watchdog;

impl Watchdog {
    /// Starts the thread next to the server's runtime. It has a runtime of its own, which receives
    /// signals independently of the server's.
    ///
    /// # Errors Fails when the thread or its runtime cannot be created.
    pub fn start(settings: EndSettings, server: Handle) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        drop(entered);
        std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || runtime.block_on(watch(settings, server, signals)))?;
        Ok(())
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn watch(settings: EndSettings, server: Handle, signals: Signals) {
    let look = async {
        let mut scan = Scan::new(settings.stuck_after);
        let mut ticks = interval((settings.stuck_after / 2).min(LOOK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // The thread that polls the network may be stuck, and no other takes over. Spawning a
            // task wakes one.
            server.spawn(std::future::ready(()));
            for finding in scan.look(Instant::now()) {
                finding.log();
            }
        }
    };
    tokio::select! {
        code = end(settings, signals) => exit(code),
        () = look => {}
    }
}

/// Waits until the process is to be ended by force. Returns the exit code.
async fn end(settings: EndSettings, mut signals: Signals) -> i32 {
    signals.next().await;
    let end_at = tokio::time::Instant::now() + settings.end_after;
    tokio::select! {
        () = signals.next() => {
            sleep(LAST_MOMENT).await;
            AT_ONCE
        }
        () = sleep_until(end_at) => {
            let seconds = settings.end_after.as_secs();
            tracing::error!(seconds, "server did not stop in time, ending the process");
            BY_FORCE
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the drain has had its time: what holds the process now does not end by itself"
)]
fn exit(code: i32) {
    std::process::exit(code)
}
