//! Serving, draining and closing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{App, Ended, StartError, Stop, descriptors};
use crate::http::{self, Server};
use talkgraph_runtime::Runner;
use talkgraph_watchdog::{Task, watched};

/// The time for streams to deliver their last events.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// The time for connections to close after their last bytes.
const LAST_BYTES: Duration = Duration::from_secs(3);

/// The tasks that renew leases, keep house and remove deleted sessions.
struct Upkeep {
    stop: CancellationToken,
    heartbeat: JoinHandle<()>,
    housekeeping: JoinHandle<()>,
    purge: JoinHandle<()>,
}

impl Upkeep {
    fn start(runner: &Runner) -> Self {
        let stop = CancellationToken::new();
        let purge = tokio::spawn(Arc::clone(&runner.deletion).purge(stop.clone()));
        let (heartbeat, housekeeping) = runner.upkeep();
        let heartbeat = tokio::spawn(watched(
            Task::only("the heartbeat"),
            heartbeat.run(stop.clone()),
        ));
        let housekeeping = tokio::spawn(watched(
            Task::only("housekeeping"),
            housekeeping.run(stop.clone()),
        ));
        Self {
            stop,
            heartbeat,
            housekeeping,
            purge,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.heartbeat.await {
            tracing::error!(%error, "heartbeat failed");
        }
        if let Err(error) = self.housekeeping.await {
            tracing::error!(%error, "housekeeping failed");
        }
        if let Err(error) = self.purge.await {
            tracing::error!(%error, "removal of deleted sessions failed");
        }
    }
}

impl App {
    /// Serves until `stop`, then drains: readiness off, no new runs after the delay of an announced
    /// stop, active runs get their time, the rest is left to the next server, streams end, pools
    /// close.
    pub async fn serve(self, stop: impl Future<Output = Stop>) -> Result<Ended, StartError> {
        let upkeep = Upkeep::start(&self.runner);
        let most_connections = self.connections.most;
        let closing = CancellationToken::new();
        let router = http::router(Arc::clone(&self.server));
        let serving = http::serve(self.listener, router, self.connections, closing.clone());
        let mut serving = tokio::spawn(serving);
        self.server.ready.store(true, Ordering::Release);
        tracing::info!(
            address = %self.address,
            model = self.default_models.first(),
            needs_key = self.server.authenticator.needs_key(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        // After the line that clients may wait for: it may log a warning.
        descriptors::raise(most_connections);

        let stop = tokio::select! {
            stop = stop => stop,
            ended = &mut serving => return Err(failed(ended)),
        };
        self.server.ready.store(false, Ordering::Release);
        if stop == Stop::Announced && !self.shutdown_delay.is_zero() {
            let delay_ms = u64::try_from(self.shutdown_delay.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(delay_ms, "readiness off; new runs are still accepted");
            tokio::select! {
                () = tokio::time::sleep(self.shutdown_delay) => {}
                ended = &mut serving => return Err(failed(ended)),
            }
        }
        tracing::info!(runs = self.runner.bus().len(), "stopping");
        let left = self.runner.drain(self.drain_timeout).await;
        close_connections(&self.server, &closing, serving).await;
        upkeep.end().await;
        self.mcp.end().await;
        self.store.close().await;
        tracing::info!(left, "stopped");
        Ok(match left {
            0 => Ended::Drained,
            runs => Ended::Left(runs),
        })
    }
}

/// Ends streams and connections, by force once their time is over.
async fn close_connections(
    server: &Server,
    closing: &CancellationToken,
    mut serving: JoinHandle<()>,
) {
    // Every stream ends by itself now, with its run's last events or with the sequence to resume
    // from. One that is not read does not.
    let streams_ended = server.streams.streams_ended();
    let _ = tokio::time::timeout(LAST_EVENTS, streams_ended).await;
    server.stopping.cancel();
    closing.cancel();
    let closed = async {
        // The outcome no longer matters.
        let _ = (&mut serving).await;
        server.streams.sockets_closed().await;
    };
    if tokio::time::timeout(LAST_BYTES, closed).await.is_err() {
        serving.abort();
    }
}

/// The listener ended before the server was stopped.
fn failed(ended: Result<(), JoinError>) -> StartError {
    StartError::Serve(match ended {
        Ok(()) => std::io::Error::other("it ended by itself"),
        Err(error) => std::io::Error::other(error),
    })
}
