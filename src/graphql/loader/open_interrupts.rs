//! The open interrupts of each run.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::{Interrupt, RunId};

use super::{LoadError, Loads, Of, by_principal};

/// The run whose open interrupts are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OpenInterruptsOf(pub(crate) RunId);

impl Loader<Of<OpenInterruptsOf>> for Loads {
    type Value = Vec<Arc<Interrupt>>;
    type Error = LoadError;

    async fn load(
        &self,
        keys: &[Of<OpenInterruptsOf>],
    ) -> Result<HashMap<Of<OpenInterruptsOf>, Self::Value>, LoadError> {
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        for (who, runs) in by_principal(keys) {
            let runs: Vec<_> = runs.into_iter().map(|of| of.0).collect();
            for interrupt in self.store.open_interrupts_of(who, &runs).await? {
                let key = Of {
                    who: who.clone(),
                    key: OpenInterruptsOf(interrupt.run_id),
                };
                found.entry(key).or_default().push(Arc::new(interrupt));
            }
        }
        Ok(found)
    }
}
