//! The active run of each session.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use crate::domain::{Run, SessionId};

use super::{LoadError, Loads, Of, by_principal};

/// The session whose active run is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ActiveRunOf(pub(crate) SessionId);

impl Loader<Of<ActiveRunOf>> for Loads {
    type Value = Arc<Run>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<ActiveRunOf>],
    ) -> Result<HashMap<Of<ActiveRunOf>, Self::Value>, LoadError> {
        let mut found = HashMap::new();
        for (who, sessions) in by_principal(keys) {
            let sessions: Vec<_> = sessions.into_iter().map(|of| of.0).collect();
            for run in self.store.active_runs(who, &sessions).await? {
                let key = ActiveRunOf(run.session_id);
                found.insert(
                    Of {
                        who: who.clone(),
                        key,
                    },
                    Arc::new(run),
                );
            }
        }
        Ok(found)
    }
}
