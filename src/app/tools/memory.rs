//! Memories, kept in the database.

use async_trait::async_trait;

use talkgraph_domain::time::now;
use talkgraph_domain::{Memory, Principal};
use talkgraph_store::SharedStore;
use talkgraph_tools::Memories;

/// The memories in the database, with a limit for each owner.
pub(super) struct Stored {
    pub(super) store: SharedStore,
    pub(super) most: u32,
}

#[async_trait]
impl Memories for Stored {
    async fn save(&self, who: &Principal, text: String) -> Result<(), String> {
        let memory = Memory {
            text,
            saved_at: now(),
        };
        let saved = self.store.save_memory(who, &memory, self.most).await;
        saved.map_err(|error| error.to_string())
    }

    async fn all(&self, who: &Principal) -> Result<Vec<Memory>, String> {
        let found = self.store.memories(who, self.most).await;
        found.map_err(|error| error.to_string())
    }
}
