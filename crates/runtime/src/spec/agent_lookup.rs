//! Agent lookup: agents from files are in memory, all others in the store.

use std::sync::Arc;

use talkgraph_domain::{Agent, AgentId, Principal};
use talkgraph_store::{SharedStore, StoreError};

use crate::spec::catalog::Catalog;

/// The longest name that is looked up in the store: no agent has a longer one.
const MAX_NAME_BYTES: usize = 64;

/// Finds agents by name and id.
#[derive(Clone)]
pub(crate) struct AgentLookup {
    catalog: Arc<Catalog>,
    store: SharedStore,
}

impl AgentLookup {
    pub(crate) fn new(catalog: Arc<Catalog>, store: SharedStore) -> Self {
        Self { catalog, store }
    }

    /// The agent with this name that new runs of this principal may use.
    ///
    /// # Errors
    /// Errors of the store.
    pub(crate) async fn by_name(
        &self,
        who: &Principal,
        name: &str,
    ) -> Result<Option<Arc<Agent>>, StoreError> {
        if let Some(agent) = self.catalog.by_name(name) {
            return Ok(Some(agent));
        }
        if name.len() > MAX_NAME_BYTES || name.contains('\0') {
            return Ok(None);
        }
        let agent = self.store.agent_by_name(who, name).await?;
        Ok(agent.map(Arc::new))
    }

    /// The agent with this id, unless it is archived.
    pub(crate) async fn by_id(
        &self,
        who: &Principal,
        id: AgentId,
    ) -> Result<Option<Arc<Agent>>, StoreError> {
        if let Some(agent) = self.catalog.by_id(id) {
            return Ok(Some(agent));
        }
        let agent = self.store.agents_by_id(who, &[id]).await?.pop();
        let agent = agent.filter(|agent| agent.archived_at.is_none());
        Ok(agent.map(Arc::new))
    }
}
