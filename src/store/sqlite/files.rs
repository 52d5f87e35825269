//! Files.

use async_trait::async_trait;
use sqlx::Sqlite;

use crate::domain::{File, FileId, Principal};
use crate::store::rows::{FileRow, all};
use crate::store::{FileStore, StoreError, queries};

use super::SqliteStore;

#[async_trait]
impl FileStore for SqliteStore {
    async fn save_files(&self, who: &Principal, files: &[File]) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin_with("BEGIN IMMEDIATE").await?;
        for file in files {
            let mut save = queries::save_file::<Sqlite>(who, file);
            save.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn files_by_id(&self, who: &Principal, ids: &[FileId]) -> Result<Vec<File>, StoreError> {
        let mut query = queries::files_by_id::<Sqlite>(who, ids);
        all::<FileRow, _>(query.build_query_as().fetch_all(&self.reads).await?)
    }

    async fn delete_files(&self, who: &Principal, ids: &[FileId]) -> Result<(), StoreError> {
        let mut query = queries::delete_files::<Sqlite>(who, ids);
        query.build().execute(&self.writes).await?;
        Ok(())
    }
}
