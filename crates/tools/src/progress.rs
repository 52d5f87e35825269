//! The progress of a tool call.

use tokio::sync::watch;

use talkgraph_domain::ToolProgress;

/// The channel from a tool to the followers of one of its calls. Only the latest report is kept, so
/// a tool that reports without end costs nothing.
#[derive(Debug, Clone)]
pub struct Progress(watch::Sender<Reported>);

/// The progress of a call so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reported {
    /// The number of reports.
    pub reports: u64,
    /// The latest.
    pub latest: Option<ToolProgress>,
    /// The number of pending questions to the person; the call's time limit is paused meanwhile.
    pub held: u32,
}

/// Pauses the time limit of a call until it is dropped.
#[derive(Debug)]
pub struct Held(watch::Sender<Reported>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0
            .send_modify(|reported| reported.held = reported.held.saturating_sub(1));
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self(watch::Sender::new(Reported::default()))
    }
}

impl Progress {
    /// Reports progress.
    pub fn report(&self, progress: f64, total: Option<f64>, message: Option<String>) {
        self.0.send_modify(|reported| {
            reported.reports += 1;
            reported.latest = Some(ToolProgress {
                progress,
                total,
                message,
            });
        });
    }

    /// Pauses the time limit of the call.
    pub fn hold(&self) -> Held {
        self.0.send_modify(|reported| reported.held += 1);
        Held(self.0.clone())
    }

    /// Subscribes to the reports from now on.
    pub fn watch(&self) -> watch::Receiver<Reported> {
        self.0.subscribe()
    }
}
