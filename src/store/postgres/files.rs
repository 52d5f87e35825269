//! Files.

use async_trait::async_trait;
use sqlx::Postgres;

use crate::domain::{File, FileId, Principal};
use crate::store::rows::{FileRow, all};
use crate::store::{FileStore, StoreError, queries};

use super::PostgresStore;

#[async_trait]
impl FileStore for PostgresStore {
    async fn save_files(&self, who: &Principal, files: &[File]) -> Result<(), StoreError> {
        let saved = async {
            let mut transaction = self.pool.begin().await?;
            for file in files {
                let mut save = queries::save_file::<Postgres>(who, file);
                save.build().execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        };
        self.patience.wait(saved).await
    }

    async fn files_by_id(&self, who: &Principal, ids: &[FileId]) -> Result<Vec<File>, StoreError> {
        let mut query = queries::files_by_id::<Postgres>(who, ids);
        let read = query.build_query_as().fetch_all(&self.pool);
        all::<FileRow, _>(self.patience.wait(read).await?)
    }

    async fn delete_files(&self, who: &Principal, ids: &[FileId]) -> Result<(), StoreError> {
        let mut query = queries::delete_files::<Postgres>(who, ids);
        self.patience
            .wait(query.build().execute(&self.pool))
            .await?;
        Ok(())
    }
}
