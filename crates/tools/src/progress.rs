//! The progress of a call, as its tool reports it.

use tokio::sync::watch;

use talkgraph_domain::ToolProgress;

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
    /// The number of questions that wait for the person; the call's time stands still meanwhile.
    pub held: u32,
}

/// The time of a call stands still until this is dropped.
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

    /// Stops the time of the call.
    pub fn hold(&self) -> Held {
        self.0.send_modify(|reported| reported.held += 1);
        Held(self.0.clone())
    }

    /// The reports from now on.
    pub fn watch(&self) -> watch::Receiver<Reported> {
        self.0.subscribe()
    }
}
