//! Sections of branches: the messages of many sessions in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::Message;
use talkgraph_store::{BranchRange, UNCOUNTED, wanted};

use super::{LoadError, Loads, Of, by_principal};

impl Loader<Of<BranchRange>> for Loads {
    type Value = Arc<[Arc<Message>]>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<BranchRange>],
    ) -> Result<HashMap<Of<BranchRange>, Self::Value>, LoadError> {
        let mut found = HashMap::with_capacity(keys.len());
        for (who, ranges) in by_principal(keys) {
            let _turn = match wanted(&ranges) > UNCOUNTED {
                true => self.large.acquire().await.ok(),
                false => None,
            };
            let read = self.store.branches(who, &ranges, self.most_bytes);
            let branches = read.await?;
            for (key, messages) in ranges.into_iter().zip(branches) {
                let key = Of {
                    who: who.clone(),
                    key,
                };
                found.insert(key, messages.into_iter().map(Arc::new).collect());
            }
        }
        Ok(found)
    }
}
