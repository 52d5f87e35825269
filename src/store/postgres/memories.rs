//! Memories.

use async_trait::async_trait;
use sqlx::Postgres;

use crate::domain::{Memory, Principal};
use crate::store::rows::{MemoryRow, all};
use crate::store::{MemoryStore, StoreError, queries};

use super::PostgresStore;

#[async_trait]
impl MemoryStore for PostgresStore {
    async fn save_memory(
        &self,
        who: &Principal,
        memory: &Memory,
        most: u32,
    ) -> Result<(), StoreError> {
        let saved = async {
            let mut transaction = self.pool.begin().await?;
            let mut save = queries::save_memory::<Postgres>(who, memory);
            save.build().execute(&mut *transaction).await?;
            let mut forget = queries::forget_memories::<Postgres>(who, most);
            forget.build().execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok::<_, StoreError>(())
        };
        self.patience.wait(saved).await
    }

    async fn memories(&self, who: &Principal, limit: u32) -> Result<Vec<Memory>, StoreError> {
        let mut query = queries::memories::<Postgres>(who, limit);
        all::<MemoryRow, _>(
            self.patience
                .wait(query.build_query_as().fetch_all(&self.pool))
                .await?,
        )
    }
}
