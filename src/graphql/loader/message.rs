//! Messages by their ids, a few per statement, because they may be large together.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::{Message, MessageId};
use talkgraph_store::StoreError;

use super::{LoadError, Loads, Of, by_principal};

/// The maximum number of messages of one statement. So few are not measured before they are read.
const FEW: usize = 50;

impl Loader<Of<MessageId>> for Loads {
    type Value = Arc<Message>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<MessageId>],
    ) -> Result<HashMap<Of<MessageId>, Self::Value>, LoadError> {
        let mut found = HashMap::with_capacity(keys.len());
        let _turn = match keys.len() > FEW {
            true => self.large.acquire().await.ok(),
            false => None,
        };
        for (who, ids) in by_principal(keys) {
            let mut bytes = 0;
            for ids in ids.chunks(FEW) {
                for message in self.store.messages_by_id(who, ids).await? {
                    bytes += message.bytes() as u64;
                    let key = Of {
                        who: who.clone(),
                        key: message.id,
                    };
                    found.insert(key, Arc::new(message));
                }
                if bytes > self.most_bytes && keys.len() > FEW {
                    return Err(StoreError::TooLarge(self.most_bytes).into());
                }
            }
        }
        Ok(found)
    }
}
