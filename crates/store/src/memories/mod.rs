//! Memories of owners.

pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::StoreError;
use super::dialect::Dialect;
use super::pools::Pools;
use crate::memories::rows::MemoryRow;
use crate::rows::all;
use talkgraph_domain::{Memory, Principal};

/// Memories, each of one owner.
#[async_trait]
pub trait MemoryStore: Send + Sync {
    /// Saves a memory. Its text has no U+0000. The same text is stored once, with the later time;
    /// of more than `most` the oldest are removed.
    async fn save_memory(
        &self,
        who: &Principal,
        memory: &Memory,
        most: u32,
    ) -> Result<(), StoreError>;

    /// The latest memories, latest first.
    async fn memories(&self, who: &Principal, limit: u32) -> Result<Vec<Memory>, StoreError>;
}

#[async_trait]
impl<S: Pools> MemoryStore for S {
    async fn save_memory(
        &self,
        who: &Principal,
        memory: &Memory,
        most: u32,
    ) -> Result<(), StoreError> {
        let saved = async {
            let mut transaction = self.begin().await?;
            S::Db::execute(&mut transaction, sql::save_memory(who, memory)).await?;
            S::Db::execute(&mut transaction, sql::forget_memories(who, most)).await?;
            transaction.commit().await?;
            Ok(())
        };
        self.in_time(saved).await
    }

    async fn memories(&self, who: &Principal, limit: u32) -> Result<Vec<Memory>, StoreError> {
        all::<MemoryRow, _>(self.read(sql::memories(who, limit)).await?)
    }
}

/// The id of a memory: the same text of the same owner has the same. No tenant, owner or text
/// contains the separator byte.
pub(crate) fn memory_id(who: &Principal, text: &str) -> Uuid {
    let mut digest = Sha256::new();
    for part in [&who.tenant, "\0", &who.owner, "\0", text] {
        digest.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}
