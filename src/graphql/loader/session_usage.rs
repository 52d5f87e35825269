//! The usage of the runs of each session.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;

use talkgraph_domain::SessionId;
use talkgraph_store::SessionUsage;

use super::{LoadError, Loads, Of, by_principal};

/// The session whose usage is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct UsageOf(pub(crate) SessionId);

impl Loader<Of<UsageOf>> for Loads {
    type Value = SessionUsage;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<UsageOf>],
    ) -> Result<HashMap<Of<UsageOf>, Self::Value>, LoadError> {
        let mut found = HashMap::with_capacity(keys.len());
        for (who, sessions) in by_principal(keys) {
            let sessions: Vec<_> = sessions.into_iter().map(|of| of.0).collect();
            for usage in self.store.usage_of_sessions(who, &sessions).await? {
                let key = Of {
                    who: who.clone(),
                    key: UsageOf(usage.session),
                };
                found.insert(key, usage);
            }
        }
        Ok(found)
    }
}
