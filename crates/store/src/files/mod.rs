//! Files of messages.

pub(crate) mod rows;
pub(crate) mod sql;

use async_trait::async_trait;

use super::StoreError;
use super::dialect::Dialect;
use super::pools::Pools;
use crate::files::rows::FileRow;
use crate::rows::all;
use talkgraph_domain::{File, FileId, Principal, RunId};

/// Files, each of one owner.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Stores files, all or none, before the run with them starts.
    async fn save_files(&self, who: &Principal, files: &[File]) -> Result<(), StoreError>;

    /// Stores files of a run's tool results, all or none, before the results are in its log.
    /// Existing files are unchanged.
    async fn save_result_files(
        &self,
        who: &Principal,
        run: RunId,
        files: &[File],
    ) -> Result<(), StoreError>;

    /// The files with these ids, in no particular order.
    async fn files_by_id(&self, who: &Principal, ids: &[FileId]) -> Result<Vec<File>, StoreError>;

    /// Removes files that no message contains.
    async fn delete_files(&self, who: &Principal, ids: &[FileId]) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: Pools> FileStore for S {
    async fn save_files(&self, who: &Principal, files: &[File]) -> Result<(), StoreError> {
        save(self, who, None, files).await
    }

    async fn save_result_files(
        &self,
        who: &Principal,
        run: RunId,
        files: &[File],
    ) -> Result<(), StoreError> {
        save(self, who, Some(run), files).await
    }

    async fn files_by_id(&self, who: &Principal, ids: &[FileId]) -> Result<Vec<File>, StoreError> {
        all::<FileRow, _>(self.read(sql::files_by_id(who, ids)).await?)
    }

    async fn delete_files(&self, who: &Principal, ids: &[FileId]) -> Result<(), StoreError> {
        self.execute(sql::delete_files(who, ids)).await?;
        Ok(())
    }
}

async fn save<S: Pools>(
    store: &S,
    who: &Principal,
    run: Option<RunId>,
    files: &[File],
) -> Result<(), StoreError> {
    let saved = async {
        let mut transaction = store.begin().await?;
        for file in files {
            let query = sql::save_file(who, run, file);
            S::Db::execute(&mut transaction, query).await?;
        }
        transaction.commit().await?;
        Ok(())
    };
    store.in_time(saved).await
}
