//! The child runs of each run.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::{Run, RunId};

use super::{LoadError, Loads, Of, by_principal};

/// The run whose children are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChildRunsOf(pub(crate) RunId);

impl Loader<Of<ChildRunsOf>> for Loads {
    type Value = Vec<Arc<Run>>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<ChildRunsOf>],
    ) -> Result<HashMap<Of<ChildRunsOf>, Self::Value>, LoadError> {
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        for (who, runs) in by_principal(keys) {
            let runs: Vec<_> = runs.into_iter().map(|of| of.0).collect();
            for run in self.store.child_runs(who, &runs).await? {
                let Some(parent) = run.parent else { continue };
                let key = Of {
                    who: who.clone(),
                    key: ChildRunsOf(parent.run),
                };
                found.entry(key).or_default().push(Arc::new(run));
            }
        }
        Ok(found)
    }
}
