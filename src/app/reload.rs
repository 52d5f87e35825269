//! Reading the agent files again while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use talkgraph_runtime::{AgentFileError, Runner, read_checked};
use talkgraph_store::StoreError;

/// Why the agent files were not taken. Everything stays as it was.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// A file, with the field.
    #[error(transparent)]
    Agents(#[from] AgentFileError),
    /// The default agent would be gone.
    #[error("agents folder {0}: no file is called like agents.default")]
    NoDefault(PathBuf),
    /// The database.
    #[error("the agents cannot be stored: {0}")]
    Store(#[from] StoreError),
}

/// The agent files of a server.
pub struct AgentFiles {
    pub(super) folder: PathBuf,
    pub(super) runner: Arc<Runner>,
}

impl AgentFiles {
    /// Reads the folder again. All files are checked before any counts: what changed gets a new
    /// version, what is gone is archived. Runs that are being made keep the version they have.
    /// Not to be called twice at the same time.
    ///
    /// # Errors
    /// The first file that is wrong, or the database; then nothing has changed.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let catalog = self.runner.catalog();
        let specs = read_checked(&self.folder, catalog.rules()).await?;
        if !catalog.has_default(&specs) {
            return Err(ReloadError::NoDefault(self.folder.clone()));
        }
        let before = catalog.versions();
        let agents = self.runner.store.sync_file_agents(&specs).await?;
        catalog.replace(agents);
        let after = catalog.versions();
        for (agent, version) in &after {
            if before.get(agent) != Some(version) {
                tracing::info!(agent, version, "an agent file was taken");
            }
        }
        for agent in before.keys().filter(|agent| !after.contains_key(*agent)) {
            tracing::info!(agent, "an agent's file is gone; it is archived");
        }
        tracing::info!(agents = after.len(), "the agent files were read again");
        Ok(())
    }

    /// [`AgentFiles::reload`]; what is wrong is logged.
    pub async fn reload_or_log(&self) {
        if let Err(error) = self.reload().await {
            tracing::error!(%error, "the agent files were not taken; everything stays as it was");
        }
    }
}
