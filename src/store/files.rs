//! What messages have beside their text.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{File, FileId, Principal};

/// Files, each of one owner.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Keeps files, all or none. Whoever starts a run with them keeps them before.
    async fn save_files(&self, who: &Principal, files: &[File]) -> Result<(), StoreError>;

    /// The files with these ids, in no particular order.
    async fn files_by_id(&self, who: &Principal, ids: &[FileId]) -> Result<Vec<File>, StoreError>;

    /// Removes files that no message has got.
    async fn delete_files(&self, who: &Principal, ids: &[FileId]) -> Result<(), StoreError>;
}
