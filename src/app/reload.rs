//! Reloads the agent files while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use talkgraph_runtime::{AgentFileError, Runner, read_checked};
use talkgraph_store::StoreError;

/// An error of a reload. The agents in force stay.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// A file, with the field.
    #[error(transparent)]
    Agents(#[from] AgentFileError),
    /// The default agent is missing.
    #[error(
        "agents folder {0}: no file has the name of agents.default: add it, or change the setting"
    )]
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
    /// Reloads the folder. All files are checked before any takes effect: a changed agent gets a
    /// new version, a missing one is archived. Active runs keep their version. Not to be called
    /// twice at the same time.
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
                tracing::info!(agent, version, "agent version created");
            }
        }
        for agent in before.keys().filter(|agent| !after.contains_key(*agent)) {
            tracing::info!(agent, "agent archived: its file is gone");
        }
        tracing::info!(agents = after.len(), "agent files reloaded");
        Ok(())
    }

    /// Calls [`AgentFiles::reload`] and logs an error.
    pub async fn reload_or_log(&self) {
        if let Err(error) = self.reload().await {
            tracing::error!(%error, "agent file reload failed; the agents in force stay");
        }
    }
}
