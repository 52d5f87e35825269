//! Summaries.

use async_trait::async_trait;
use sqlx::Sqlite;

use crate::domain::{MessageId, Principal, Summary};
use crate::store::rows::SummaryRow;
use crate::store::{StoreError, SummaryStore, queries};

use super::SqliteStore;

#[async_trait]
impl SummaryStore for SqliteStore {
    async fn summary_of_branch(
        &self,
        who: &Principal,
        head: MessageId,
    ) -> Result<Option<Summary>, StoreError> {
        let mut query = queries::summary_of_branch::<Sqlite>(who, head);
        let row: Option<SummaryRow> = query.build_query_as().fetch_optional(&self.reads).await?;
        Ok(row.map(Summary::from))
    }
}
