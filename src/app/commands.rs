//! The commands of the command line that need no server.

use std::path::Path;

use super::known::known;
use super::limits::evaluator;
use super::{AgentsCheck, StartError, store, tools};
use crate::config::{Settings, StoreSettings};
use talkgraph_runtime::read_agent_files;

/// The capabilities of each model that the settings or an agent file name, as TOML.
pub async fn known_models(settings: &Settings) -> Result<String, StartError> {
    let evaluator = evaluator(&settings.evaluation);
    let specs = read_agent_files(&settings.agents.folder, &evaluator).await?;
    Ok(known(&settings.models, &specs))
}

/// Reads and checks the agent files as the server would at start. Starts the MCP servers of the
/// settings too, unless `offline`, to find the tools that the agents would lack.
pub async fn check_agents(settings: &Settings, offline: bool) -> Result<AgentsCheck, StartError> {
    let evaluator = evaluator(&settings.evaluation);
    let specs = read_agent_files(&settings.agents.folder, &evaluator).await?;
    if offline || settings.tools.mcp.is_empty() {
        return Ok(AgentsCheck::offline(specs));
    }
    let tools = tools::reach(settings, &evaluator).await?;
    let checked = AgentsCheck::new(specs, &tools.registry);
    tools.keepers.end().await;
    Ok(checked)
}

/// Copies the database to a file, also while a server writes to it. Returns the copy's size
/// in bytes.
pub async fn backup(settings: &Settings, to: &Path) -> Result<u64, StartError> {
    store::backup(&settings.store, to).await
}

/// Rewrites a SQLite database as a whole, while no server uses it. Returns its size before and
/// after, in bytes.
pub async fn compact(settings: &Settings) -> Result<(u64, u64), StartError> {
    store::compact(&settings.store).await
}

/// Applies pending migrations, also where `store.migrate` is false.
pub async fn migrate(settings: &Settings) -> Result<(), StartError> {
    let settings = StoreSettings {
        migrate: true,
        ..settings.store.clone()
    };
    store::open(&settings).await?.close().await;
    Ok(())
}
