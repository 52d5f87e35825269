//! The state that everyone in a soak shares.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::support::client::Client;

/// The number of runs kept for visitors to choose from.
const RUNS: usize = 256;

pub(crate) struct World {
    pub(crate) client: Client,
    runs: Mutex<Vec<String>>,
    ends: AtomicBool,
    pub(crate) answers: AtomicU64,
    pub(crate) visits: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) deleted: AtomicU64,
}

impl World {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            runs: Mutex::default(),
            ends: AtomicBool::new(false),
            answers: AtomicU64::new(0),
            visits: AtomicU64::new(0),
            events: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        }
    }

    pub(crate) fn stop(&self) {
        self.ends.store(true, Relaxed);
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.ends.load(Relaxed)
    }

    /// Offers a run to visitors.
    pub(crate) fn offer(&self, run: &str) {
        let mut runs = self.runs.lock().unwrap();
        if runs.len() == RUNS {
            let place = fastrand::usize(..RUNS);
            runs.swap_remove(place);
        }
        runs.push(run.to_owned());
    }

    /// Any run that was offered lately.
    pub(crate) fn any_run(&self) -> Option<String> {
        let runs = self.runs.lock().unwrap();
        fastrand::choice(runs.iter()).cloned()
    }

    /// Fails when nothing happened.
    pub(crate) fn assert_busy(&self) {
        assert!(self.answers.load(Relaxed) > 0, "no answer was complete");
        assert!(self.visits.load(Relaxed) > 0, "no visitor read an event");
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "{} answers compared word by word, {} visits, {} events, {} sessions deleted",
            self.answers.load(Relaxed),
            self.visits.load(Relaxed),
            self.events.load(Relaxed),
            self.deleted.load(Relaxed)
        )
    }
}
