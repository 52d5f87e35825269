//! Objects by their own id.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;

use talkgraph_domain::{
    Agent, AgentId, AgentVersion, AgentVersionId, Interrupt, InterruptId, Run, RunId, Session,
    SessionId,
};

use super::{LoadError, Loads, Of, by_principal};

macro_rules! load_by_id {
    ($($id:ty => $value:ty, $read:ident;)*) => {$(
        impl Loader<Of<$id>> for Loads {
            type Value = Arc<$value>;
            type Error = LoadError;

            async fn load(
                &self,
                keys: &[Of<$id>],
            ) -> Result<HashMap<Of<$id>, Self::Value>, LoadError> {
                let mut found = HashMap::with_capacity(keys.len());
                for (who, ids) in by_principal(keys) {
                    for value in self.store.$read(who, &ids).await? {
                        let key = Of { who: who.clone(), key: value.id };
                        found.insert(key, Arc::new(value));
                    }
                }
                Ok(found)
            }
        }
    )*};
}

load_by_id! {
    AgentId => Agent, agents_by_id;
    AgentVersionId => AgentVersion, agent_versions_by_id;
    SessionId => Session, sessions_by_id;
    RunId => Run, runs_by_id;
    InterruptId => Interrupt, interrupts_by_id;
}
