//! Errors of start-up and of commands.

use std::net::SocketAddr;

use thiserror::Error;

use super::models::ModelError;
use crate::config::ConfigError;
use crate::guard::ManifestError;
use talkgraph_runtime::AgentFileError;
use talkgraph_store::StoreError;
use talkgraph_store::sqlite::BackupError;

/// An error that stops start-up or a command: one line that says how to fix it.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An agent file.
    #[error(transparent)]
    Agents(#[from] AgentFileError),
    /// The trusted documents.
    #[error("documents.manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// A model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The database.
    #[error("database {url}: {error}")]
    Store {
        /// Its URL without the password.
        url: String,
        /// The error of the database.
        error: StoreError,
    },
    /// A backup.
    #[error("backup: {0}")]
    Backup(#[from] BackupError),
    /// A backup of a database with better means of its own.
    #[error("backup: {0} is PostgreSQL: use pg_dump")]
    BackupOfPostgres(String),
    /// The compaction of a database that compacts itself.
    #[error("compact: {0} is PostgreSQL: its autovacuum does this")]
    CompactOfPostgres(String),
    /// The address.
    #[error("cannot listen on {address}: {error} (setting http.port)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        error: std::io::Error,
    },
    /// The listener failed while serving.
    #[error("the listener failed: {0}")]
    Serve(std::io::Error),
}
