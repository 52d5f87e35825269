//! The variables that agents' instructions use.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use talkgraph_domain::{Agent, AgentVersionId, Principal};
use talkgraph_evaluation::{Evaluator, Failure};

/// The number of agent versions whose variables are cached. Versions never change.
const REMEMBERED: usize = 1_024;

/// The variable names of agent versions.
#[derive(Default)]
pub(crate) struct TemplateVariables(Mutex<HashMap<AgentVersionId, Arc<[String]>>>);

impl TemplateVariables {
    /// The variables of an agent's instructions, by their top-level names.
    ///
    /// # Errors
    /// Fails when the instructions are too costly to evaluate, or no evaluator is available.
    pub(crate) async fn of(
        &self,
        evaluator: &Evaluator,
        who: &Principal,
        agent: &Agent,
    ) -> Result<Vec<String>, Failure> {
        let version = &agent.current;
        if let Some(known) = self.get(version.id) {
            return Ok(known.to_vec());
        }
        let template = &version.spec.instructions;
        let paths = evaluator.variables_of(who.into(), template).await?;
        let names = paths.iter().filter_map(|path| path.split('.').next());
        let names: BTreeSet<_> = names.map(str::to_owned).collect();
        let names: Arc<[String]> = names.into_iter().collect();
        self.keep(version.id, Arc::clone(&names));
        Ok(names.to_vec())
    }

    fn get(&self, version: AgentVersionId) -> Option<Arc<[String]>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&version).cloned()
    }

    fn keep(&self, version: AgentVersionId, names: Arc<[String]>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(version, names);
    }
}
