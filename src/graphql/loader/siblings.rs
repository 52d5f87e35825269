//! Siblings and children of messages: the alternatives of a whole page in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::MessageId;
use talkgraph_store::Siblings;

use super::{LoadError, Loads, Of, by_principal};

/// The latest messages of a group of siblings, at most `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LatestSiblings {
    pub(crate) kin: Siblings,
    pub(crate) limit: u32,
}

impl Loader<Of<LatestSiblings>> for Loads {
    type Value = Arc<[MessageId]>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<LatestSiblings>],
    ) -> Result<HashMap<Of<LatestSiblings>, Self::Value>, LoadError> {
        let mut found = HashMap::with_capacity(keys.len());
        for (who, latest) in by_principal(keys) {
            // Fields with different limits are rare, so each limit is a statement.
            let mut by_limit: HashMap<u32, Vec<Siblings>> = HashMap::new();
            for LatestSiblings { kin, limit } in latest {
                by_limit.entry(limit).or_default().push(kin);
            }
            for (limit, kin) in by_limit {
                let messages = self.store.siblings(who, &kin, limit).await?;
                for (kin, messages) in kin.into_iter().zip(messages) {
                    let key = Of {
                        who: who.clone(),
                        key: LatestSiblings { kin, limit },
                    };
                    found.insert(key, messages.into());
                }
            }
        }
        Ok(found)
    }
}
