//! Reloads the API keys while the server runs.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use super::keys_of;
use crate::auth::Authenticator;
use crate::config::{AuthSettings, ConfigError, Sources, ms};
use talkgraph_domain::Principal;

/// An error of a reload. The keys in force stay.
#[derive(Debug, Error)]
pub enum KeysError {
    /// A file, with the field.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A server without keys does not require them while it runs: its callers have none.
    #[error(
        "{0} keys are configured, but the server was started without: restart it to require keys"
    )]
    Open(usize),
    /// A server with keys does not give them up while it runs.
    #[error("no key is left: a server with keys needs at least one, or a restart")]
    NoKeyLeft,
    /// The task that reads files failed.
    #[error("key files cannot be read: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The files with the API keys of a server.
pub struct KeyFiles {
    sources: Sources,
    authenticator: Arc<Authenticator>,
    interval: Duration,
    known: Mutex<Known>,
}

struct Known {
    auth: AuthSettings,
    /// The state of the files that the keys in force were read from; none before the first check.
    loaded: Option<u64>,
    /// The state at the latest check.
    seen: Option<u64>,
}

/// The names of the keys that a reload has changed.
#[derive(Debug, Default)]
struct Change {
    added: Vec<Arc<str>>,
    removed: Vec<Arc<str>>,
}

impl KeyFiles {
    /// The keys of a server that was started with these settings from these sources.
    pub(super) fn new(
        sources: Sources,
        auth: AuthSettings,
        authenticator: Arc<Authenticator>,
    ) -> Self {
        Self {
            interval: ms(auth.reload_interval_ms),
            sources,
            authenticator,
            known: Mutex::new(Known {
                auth,
                loaded: None,
                seen: None,
            }),
        }
    }

    /// Reloads the keys. Logs the change, or the error; then nothing changes.
    pub async fn reload_or_log(&self) {
        let mut known = self.known.lock().await;
        match self.reload(&mut known).await {
            Ok(change) => log(&change),
            Err(error) => refused(&error),
        }
    }

    /// Checks the files at each interval, and reloads the keys when a file has changed. Never
    /// returns.
    pub async fn watch(&self) {
        if self.interval.is_zero() {
            return std::future::pending().await;
        }
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut known = self.known.lock().await;
            match self.check(&mut known).await {
                Ok(Some(change)) if !change.added.is_empty() || !change.removed.is_empty() => {
                    log(&change);
                }
                Ok(_) => {}
                Err(error) => refused(&error),
            }
        }
    }

    /// Reloads if the files have changed and are the same as at the previous check: a file that is
    /// being written must not remove keys.
    async fn check(&self, known: &mut Known) -> Result<Option<Change>, KeysError> {
        let now = Some(self.fingerprint(known).await?);
        let is_settled = known.seen == now;
        known.seen = now;
        if !is_settled || known.loaded == now {
            return Ok(None);
        }
        self.reload(known).await.map(Some)
    }

    async fn reload(&self, known: &mut Known) -> Result<Change, KeysError> {
        // Before reading, so that a later change is seen. A state that is refused is refused
        // once.
        known.loaded = Some(self.fingerprint(known).await?);
        let sources = self.sources.clone();
        let auth = tokio::task::spawn_blocking(move || AuthSettings::load(&sources)).await??;
        match (self.authenticator.needs_key(), auth.keys.is_empty()) {
            (false, true) => return Ok(Change::default()),
            (false, false) => return Err(KeysError::Open(auth.keys.len())),
            (true, true) => return Err(KeysError::NoKeyLeft),
            (true, false) => {}
        }
        let change = self.authenticator.replace(keys_of(&auth));
        known.auth = auth;
        Ok(Change {
            added: names(change.added),
            removed: names(change.removed),
        })
    }

    async fn fingerprint(&self, known: &Known) -> Result<u64, KeysError> {
        let (auth, sources) = (known.auth.clone(), self.sources.clone());
        Ok(tokio::task::spawn_blocking(move || auth.fingerprint(&sources)).await?)
    }
}

fn names(principals: Vec<Principal>) -> Vec<Arc<str>> {
    let mut names: Vec<_> = principals.into_iter().map(|key| key.name).collect();
    names.sort();
    names
}

fn log(change: &Change) {
    tracing::info!(
        added = change.added.len(),
        removed = change.removed.len(),
        added_keys = ?change.added,
        removed_keys = ?change.removed,
        "API keys reloaded"
    );
}

fn refused(error: &KeysError) {
    tracing::error!(%error, "API key reload failed; the keys in force stay");
}
