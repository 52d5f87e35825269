//! The queued runs of each session.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::{Run, SessionId};

use super::{LoadError, Loads, Of, by_principal};

/// The session whose queued runs are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EnqueuedRunsOf(pub(crate) SessionId);

impl Loader<Of<EnqueuedRunsOf>> for Loads {
    type Value = Vec<Arc<Run>>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<EnqueuedRunsOf>],
    ) -> Result<HashMap<Of<EnqueuedRunsOf>, Self::Value>, LoadError> {
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        for (who, sessions) in by_principal(keys) {
            let sessions: Vec<_> = sessions.into_iter().map(|of| of.0).collect();
            for run in self.store.enqueued_runs(who, &sessions).await? {
                let key = Of {
                    who: who.clone(),
                    key: EnqueuedRunsOf(run.session_id),
                };
                found.entry(key).or_default().push(Arc::new(run));
            }
        }
        Ok(found)
    }
}
