//! The capabilities of the models of all configured providers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use super::{Capabilities, ChatProtocol, LeftOut, adapt, table};
use crate::ChatRequest;
use crate::wire::merge;
use talkgraph_domain::capabilities::CapabilityOverrides;

/// The maximum number of models whose capabilities are cached; those of others are computed each
/// time.
const REMEMBERED_MODELS: usize = 1_024;

/// The provider's data that decides which rules of the table apply to its models, and the overrides
/// of the settings.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The protocol of the provider; none for a model in this process.
    pub protocol: Option<ChatProtocol>,
    /// Its host.
    pub host: String,
    /// The settings' entries for all of its models.
    pub entries: CapabilityOverrides,
    /// The settings' entries for single models, by their names at the provider.
    pub per_model: BTreeMap<String, CapabilityOverrides>,
    /// The fields that are added to the bodies of all requests.
    pub extra_body: Map<String, Value>,
    /// The fields that are added to the bodies of requests to single models.
    pub extra_body_per_model: BTreeMap<String, Map<String, Value>>,
    /// The models whose rules apply to others: a deployment may have any name.
    pub same_as: BTreeMap<String, String>,
}

impl Origin {
    /// The capabilities of a model, by its name at the provider.
    pub fn capabilities(&self, model: &str) -> Capabilities {
        let mut capabilities = self.by_table(model);
        capabilities.apply(&self.entries);
        if let Some(own) = self.per_model.get(model) {
            capabilities.apply(own);
        }
        capabilities
    }

    fn by_table(&self, model: &str) -> Capabilities {
        if self.protocol.is_none() {
            return Capabilities::default();
        }
        Capabilities::of(self.protocol, &self.host, self.named(model))
    }

    /// The rules of the table that apply to a model.
    pub fn rules(&self, model: &str) -> Vec<&'static table::Rule> {
        match self.protocol {
            None => Vec::new(),
            protocol => table::rules_for(protocol, &self.host, self.named(model)).collect(),
        }
    }

    fn named<'a>(&'a self, model: &'a str) -> &'a str {
        self.same_as.get(model).map_or(model, String::as_str)
    }
}

/// The capabilities of all models, by `provider/model`.
#[derive(Debug, Default)]
pub struct Known {
    origins: BTreeMap<String, Origin>,
    remembered: Mutex<HashMap<String, Arc<Capabilities>>>,
    /// The parameters already logged as left out, by model.
    logged: Mutex<HashMap<String, u16>>,
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self {
            origins: self.origins.clone(),
            remembered: Mutex::default(),
            logged: Mutex::default(),
        }
    }
}

impl Known {
    /// Adds a provider, or replaces it.
    pub fn insert(&mut self, provider: &str, origin: Origin) {
        self.origins.insert(provider.to_owned(), origin);
        let remembered = self.remembered.get_mut();
        remembered.unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The origin of a provider's models.
    pub fn origin(&self, provider: &str) -> Option<&Origin> {
        self.origins.get(provider)
    }

    /// The capabilities of `provider/model`; the permissive defaults if nothing is known.
    pub fn of(&self, model: &str) -> Arc<Capabilities> {
        let lock = || {
            self.remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = lock().get(model) {
            return Arc::clone(known);
        }
        let found = model
            .split_once('/')
            .and_then(|(provider, name)| Some(self.origins.get(provider)?.capabilities(name)));
        let found = Arc::new(found.unwrap_or_default());
        let mut remembered = lock();
        if remembered.len() < REMEMBERED_MODELS {
            remembered.insert(model.to_owned(), Arc::clone(&found));
        }
        found
    }

    /// Adapts a request to `provider/model`.
    pub(crate) fn fit(&self, model: &str, request: &mut ChatRequest) {
        request.capabilities = self.of(model);
        let Some((provider, name)) = model.split_once('/') else {
            return;
        };
        let Some(origin) = self.origins.get(provider) else {
            return;
        };
        let Some(protocol) = origin.protocol else {
            return;
        };
        let per_model = origin.extra_body_per_model.get(name);
        if !origin.extra_body.is_empty() || per_model.is_some() {
            let mut fields = origin.extra_body.clone();
            if let Some(own) = per_model {
                merge(&mut fields, own);
            }
            merge(&mut fields, &request.extra_body);
            request.extra_body = Arc::new(fields);
        }
        let left_out = adapt(request, protocol);
        self.log(model, &left_out);
    }

    /// Logs each parameter that a model refuses once.
    fn log(&self, model: &str, left_out: &[LeftOut]) {
        if left_out.is_empty() {
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() >= REMEMBERED_MODELS && !logged.contains_key(model) {
            return;
        }
        let known = logged.entry(model.to_owned()).or_default();
        let new = left_out.iter().filter(|one| *known & one.bit() == 0);
        let names: Vec<_> = new.map(|one| <&str>::from(*one)).collect();
        if names.is_empty() {
            return;
        }
        *known |= left_out.iter().fold(0, |all, one| all | one.bit());
        drop(logged);
        let parameters = names.join(", ");
        tracing::warn!(
            model,
            parameters,
            "model parameters unsupported, left out or replaced"
        );
    }
}
