//! Kills servers at instants of all kinds, and sometimes lets them stop.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::servers::Servers;
use crate::world::{Counts, Kind};

/// For something that does not happen any more: somebody must be killed all the same.
const PATIENCE: Duration = Duration::from_secs(1);

/// When a server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At any time.
    Any,
    /// Once this has happened.
    After(Kind),
    /// Once the model has said its last word.
    Written,
}

pub(crate) struct Killer {
    rng: Rng,
    counts: watch::Receiver<Counts>,
    written: watch::Receiver<usize>,
    /// How many have died in all.
    deaths: usize,
    /// How many of them were killed before they could serve.
    at_start: usize,
    /// How many of them were asked to stop, and were left to do so.
    stopped: usize,
    /// How many of them were asked to stop, and killed while they did.
    stopping: usize,
}

impl Killer {
    pub(crate) fn new(
        rng: Rng,
        counts: watch::Receiver<Counts>,
        written: watch::Receiver<usize>,
    ) -> Self {
        Self {
            rng,
            counts,
            written,
            deaths: 0,
            at_start: 0,
            stopped: 0,
            stopping: 0,
        }
    }

    /// Goes on until so many have died; all are running again then.
    pub(crate) async fn kill(&mut self, servers: &mut Servers, deaths: usize) {
        while self.deaths < deaths {
            let server = self.rng.usize(..servers.count());
            self.wait().await;
            self.end(servers, server).await;
            servers.spawn(server);
            // What is killed while it takes up the runs of the one before.
            while self.deaths < deaths && self.rng.u8(..6) == 0 {
                sleep(Duration::from_micros(self.rng.u64(0..200_000))).await;
                servers.kill(server).await;
                self.deaths += 1;
                self.at_start += 1;
                servers.spawn(server);
            }
            servers.ready(server).await;
        }
    }

    /// Mostly by a kill; sometimes as an operator does.
    async fn end(&mut self, servers: &mut Servers, server: usize) {
        self.deaths += 1;
        match self.rng.u8(..10) {
            0 => {
                let code = servers.stop(server).await;
                assert!(matches!(code, Some(0 | 3)), "{code:?}");
                self.stopped += 1;
            }
            1 => {
                servers.ask_to_stop(server);
                sleep(Duration::from_micros(self.rng.u64(0..400_000))).await;
                servers.kill_stopping(server).await;
                self.stopping += 1;
            }
            _ => servers.kill(server).await,
        }
    }

    fn moment(&mut self) -> Moment {
        match self.rng.u8(..20) {
            0..3 => Moment::Any,
            3..6 => Moment::After(Kind::Sent),
            6..8 => Moment::After(Kind::Acknowledged),
            8..10 => Moment::After(Kind::Called),
            10..13 => Moment::Written,
            13..17 => Moment::After(Kind::Seen),
            17 => Moment::After(Kind::Ended),
            18 => Moment::After(Kind::Cancelled),
            _ => Moment::After(Kind::Reconnected),
        }
    }

    /// Waits for a moment, and a little longer.
    async fn wait(&mut self) {
        let moment = self.moment();
        let more = match moment {
            Moment::After(Kind::Seen) => self.rng.u64(1..80),
            _ => self.rng.u64(1..6),
        };
        let reached = async {
            match moment {
                Moment::Any => {
                    sleep(Duration::from_micros(self.rng.u64(0..500_000))).await;
                }
                Moment::After(kind) => {
                    let goal = self.counts.borrow().of(kind) + more;
                    let reached = self.counts.wait_for(|counts| counts.of(kind) >= goal);
                    drop(reached.await);
                }
                Moment::Written => {
                    let goal = *self.written.borrow() + usize::try_from(more).unwrap();
                    drop(self.written.wait_for(|written| *written >= goal).await);
                }
            }
        };
        // Killing late is killing too.
        let _ = timeout(PATIENCE, reached).await;
        let pause = Duration::from_micros(self.rng.u64(0..4_000).saturating_sub(1_000));
        spin(pause);
    }
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} deaths: {} kills while serving, {} while starting, {} while stopping, and {} by \
             their own hand",
            self.deaths,
            self.deaths - self.at_start - self.stopping - self.stopped,
            self.at_start,
            self.stopping,
            self.stopped,
        )
    }
}

/// Shorter than a timer can wait.
fn spin(pause: Duration) {
    let end = Instant::now() + pause;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}
