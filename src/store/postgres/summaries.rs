//! Summaries.

use async_trait::async_trait;
use sqlx::Postgres;

use crate::domain::{MessageId, Principal, Summary};
use crate::store::rows::SummaryRow;
use crate::store::{StoreError, SummaryStore, queries};

use super::PostgresStore;

#[async_trait]
impl SummaryStore for PostgresStore {
    async fn summary_of_branch(
        &self,
        who: &Principal,
        head: MessageId,
    ) -> Result<Option<Summary>, StoreError> {
        let mut query = queries::summary_of_branch::<Postgres>(who, head);
        let read = query.build_query_as().fetch_optional(&self.pool);
        let row: Option<SummaryRow> = self.patience.wait(read).await?;
        Ok(row.map(Summary::from))
    }
}
