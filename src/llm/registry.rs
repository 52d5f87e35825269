//! The providers this server has, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::Instrument;

use super::{ChatModel, ChatRequest, LlmError, PartStream};

/// Every provider of the server. A model is named `provider/model`.
#[derive(Clone, Default)]
pub struct Models {
    providers: BTreeMap<String, Arc<dyn ChatModel>>,
}

impl Models {
    /// Adds a provider under a name.
    pub fn insert(&mut self, provider: &str, model: Arc<dyn ChatModel>) {
        self.providers.insert(provider.to_owned(), model);
    }

    /// The names of the providers.
    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// Whether `provider/model` has a provider here.
    pub fn knows(&self, model: &str) -> bool {
        self.find(model).is_ok()
    }

    /// Whether every provider could be called now.
    pub fn are_ready(&self) -> bool {
        self.providers.values().all(|provider| provider.is_ready())
    }

    /// Starts a call of `request.model`, which names provider and model.
    pub async fn stream(&self, mut request: ChatRequest) -> Result<PartStream, LlmError> {
        let (provider, name) = self.find(&request.model)?;
        let provider = Arc::clone(provider);
        let span = tracing::info_span!("provider_call", model = %request.model);
        request.model = name.to_owned();
        provider.stream(request).instrument(span).await
    }

    fn find<'a>(&self, model: &'a str) -> Result<(&Arc<dyn ChatModel>, &'a str), LlmError> {
        let unknown = || LlmError::UnknownModel {
            model: model.to_owned(),
        };
        let (provider, name) = model.split_once('/').ok_or_else(unknown)?;
        let found = self.providers.get(provider).ok_or_else(unknown)?;
        if name.is_empty() {
            return Err(unknown());
        }
        Ok((found, name))
    }
}
