//! The progress of a call, as its tool reports it.

use tokio::sync::watch;

use crate::domain::ToolProgress;

/// The way from a tool to those who follow one of its calls. Only the latest report is kept, so a
/// tool that reports without end costs nothing.
#[derive(Debug, Clone)]
pub struct Progress(watch::Sender<Reported>);

/// The reports of a call so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reported {
    /// Their number.
    pub reports: u64,
    /// The latest.
    pub latest: Option<ToolProgress>,
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

    /// The reports from now on.
    pub fn watch(&self) -> watch::Receiver<Reported> {
        self.0.subscribe()
    }
}
