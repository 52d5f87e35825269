//! Checking the polled tasks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Place, Task, places};

/// The number of stuck threads at the last check.
static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Returns true when a thread is stuck: the process then counts as not alive, even if other threads
/// work.
pub fn is_stuck() -> bool {
    STUCK.load(Ordering::Relaxed) > 0
}

/// The known stuck tasks, by their thread's entry.
pub(super) struct Scan {
    limit: Duration,
    stuck: HashMap<*const Place, (Task, Instant)>,
}

/// The finding of a check, which is logged.
#[derive(Debug)]
pub(super) enum Finding {
    /// It has been polled for too long.
    Stuck(Task, Duration),
    /// It was, and is no longer.
    Ended(Task, Duration),
}

impl Scan {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            stuck: HashMap::new(),
        }
    }

    /// Checks all threads. Each poll that takes too long is reported once, and once more when it
    /// has ended.
    pub(super) fn look(&mut self, now: Instant) -> Vec<Finding> {
        let all: Vec<Arc<Place>> = places().iter().filter_map(Weak::upgrade).collect();
        let mut findings = Vec::new();
        let mut still = HashMap::new();
        for place in &all {
            let (task, since) = match &*place.polled() {
                Some(polled) => (polled.task.clone(), polled.since),
                None => continue,
            };
            let taken = now.saturating_duration_since(since);
            if taken < self.limit {
                continue;
            }
            let key = Arc::as_ptr(place);
            let known = self.stuck.remove(&key).filter(|(_, known)| *known == since);
            if known.is_none() {
                findings.push(Finding::Stuck(task.clone(), taken));
            }
            still.insert(key, (task, since));
        }
        let ended = self
            .stuck
            .drain()
            .map(|(_, (task, since))| Finding::Ended(task, now.saturating_duration_since(since)));
        findings.extend(ended);
        STUCK.store(still.len(), Ordering::Relaxed);
        self.stuck = still;
        findings
    }
}

impl Finding {
    pub(super) fn log(&self) {
        match self {
            Self::Stuck(task, taken) => tracing::error!(
                what = task.what,
                id = task.id.as_deref(),
                stuck_ms = millis(*taken),
                "task blocks its thread"
            ),
            Self::Ended(task, taken) => tracing::error!(
                what = task.what,
                id = task.id.as_deref(),
                stuck_ms = millis(*taken),
                "task released its thread"
            ),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
