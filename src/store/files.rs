//! What messages have beside their text.

use async_trait::async_trait;

use super::dialect::Dialect;
use super::pools::Pools;
use super::rows::{FileRow, all};
use super::{StoreError, queries};
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

#[async_trait]
impl<S: Pools> FileStore for S {
    async fn save_files(&self, who: &Principal, files: &[File]) -> Result<(), StoreError> {
        let saved = async {
            let mut transaction = self.begin().await?;
            for file in files {
                S::Db::execute(&mut transaction, queries::save_file(who, file)).await?;
            }
            transaction.commit().await?;
            Ok(())
        };
        self.in_time(saved).await
    }

    async fn files_by_id(&self, who: &Principal, ids: &[FileId]) -> Result<Vec<File>, StoreError> {
        all::<FileRow, _>(self.read(queries::files_by_id(who, ids)).await?)
    }

    async fn delete_files(&self, who: &Principal, ids: &[FileId]) -> Result<(), StoreError> {
        self.execute(queries::delete_files(who, ids)).await?;
        Ok(())
    }
}
