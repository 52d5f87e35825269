//! Opening the database that the settings name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::StartError;
use crate::config::{ConfigError, PoolerSetting, StoreSettings, ms};
use talkgraph_domain::{Agent, AgentSpec};
use talkgraph_store::postgres::{Pooler, PostgresSettings, PostgresStore};
use talkgraph_store::sqlite::{self, SqliteSettings, SqliteStore};
use talkgraph_store::{SharedStore, StoreError, WriterSettings};

const SQLITE: &str = "sqlite://";

pub(super) async fn open(settings: &StoreSettings) -> Result<SharedStore, StartError> {
    let url = settings.url.expose_secret();
    let failed = |error: StoreError| failed(settings, error);
    if let Some(path) = url.strip_prefix(SQLITE) {
        let sqlite = sqlite(settings, path)?;
        let store = SqliteStore::open(&sqlite).await.map_err(failed)?;
        return Ok(Arc::new(store));
    }
    if is_postgres(url) {
        let store = PostgresStore::open(&postgres(settings))
            .await
            .map_err(failed)?;
        return Ok(Arc::new(store));
    }
    Err(unknown().into())
}

/// Copies the database that the settings name to a file.
pub(super) async fn backup(settings: &StoreSettings, to: &Path) -> Result<u64, StartError> {
    let url = settings.url.expose_secret();
    if let Some(path) = url.strip_prefix(SQLITE) {
        let sqlite = sqlite(settings, path)?;
        return Ok(sqlite::backup(&sqlite.path, to, sqlite.busy_timeout).await?);
    }
    Err(match is_postgres(url) {
        true => StartError::BackupOfPostgres(settings.shown_url()),
        false => unknown().into(),
    })
}

/// Rewrites the SQLite database that the settings name. Returns its size before and after.
pub(super) async fn compact(settings: &StoreSettings) -> Result<(u64, u64), StartError> {
    let url = settings.url.expose_secret();
    let Some(path) = url.strip_prefix(SQLITE) else {
        return Err(match is_postgres(url) {
            true => StartError::CompactOfPostgres(settings.shown_url()),
            false => unknown().into(),
        });
    };
    let sqlite = sqlite(settings, path)?;
    let compacted = sqlite::compact(&sqlite.path, sqlite.busy_timeout).await;
    compacted.map_err(|error| failed(settings, error))
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

fn unknown() -> ConfigError {
    ConfigError::invalid("store.url", "must begin with sqlite:// or postgres://")
}

pub(super) async fn sync_agents(
    store: &SharedStore,
    settings: &StoreSettings,
    specs: &[AgentSpec],
) -> Result<Vec<Agent>, StartError> {
    let synced = store.sync_file_agents(specs).await;
    synced.map_err(|error| failed(settings, error))
}

fn sqlite(settings: &StoreSettings, path: &str) -> Result<SqliteSettings, ConfigError> {
    if path.is_empty() || path.contains('?') || path.contains(":memory:") {
        let why = "must be sqlite:// and the path of a file, such as sqlite://data/talkgraph.db";
        return Err(ConfigError::invalid("store.url", why));
    }
    Ok(SqliteSettings {
        path: PathBuf::from(path),
        migrate: settings.migrate,
        read_connections: settings.connections,
        synchronous_full: settings.sqlite_synchronous_full,
        busy_timeout: ms(settings.sqlite_busy_timeout_ms),
        acquire_timeout: ms(settings.acquire_timeout_ms),
        recent: settings.sqlite_recent_groups,
        wal_bytes: settings.sqlite_wal_bytes,
        rewrite_bytes: settings.sqlite_rewrite_bytes,
        writer: writer(settings),
    })
}

fn postgres(settings: &StoreSettings) -> PostgresSettings {
    PostgresSettings {
        url: settings.url.clone(),
        migrate: settings.migrate,
        connections: settings.connections,
        connect_timeout: ms(settings.connect_timeout_ms),
        acquire_timeout: ms(settings.acquire_timeout_ms),
        statement_timeout: ms(settings.statement_timeout_ms),
        pooler: match settings.pooler {
            PoolerSetting::Auto => Pooler::Auto,
            PoolerSetting::Transaction => Pooler::Transaction,
            PoolerSetting::None => Pooler::None,
        },
        writer: writer(settings),
    }
}

fn writer(settings: &StoreSettings) -> WriterSettings {
    WriterSettings {
        queue: settings.write_queue,
        group: settings.write_group,
        queue_timeout: ms(settings.write_queue_timeout_ms),
        batch_window: Duration::from_micros(settings.write_gather_us),
    }
}

fn failed(settings: &StoreSettings, error: StoreError) -> StartError {
    StartError::Store {
        url: settings.shown_url(),
        error,
    }
}
