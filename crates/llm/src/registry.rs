//! The providers of this server by name, and the choice of the one that answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tracing::Instrument;

use super::prices::Price;
use super::resilient::{Patience, Resilience, Resilient};
use super::tokens::Factors;
use talkgraph_domain::file::is_mime_type_of;

use super::capabilities::{Capabilities, Known, Origin};
use super::{ChatModel, ChatRequest, LlmError, PartStream};

/// Every provider of the server. A model is named `provider/model`.
#[derive(Clone, Default)]
pub struct Models {
    providers: BTreeMap<String, Arc<Resilient>>,
    /// By `provider/model`.
    pub(super) prices: BTreeMap<String, Price>,
    /// Context sizes in tokens, by `provider/model`, or by `provider` for all its other models.
    pub(super) windows: BTreeMap<String, u64>,
    /// The accepted types of files, by the same names.
    files: BTreeMap<String, Vec<String>>,
    pub(super) factors: Arc<Factors>,
    /// Shared by all clones, and complete before the first clone.
    known: Arc<Known>,
}

/// The prompt for models: each may need it in another size.
#[async_trait]
pub trait Prompt: Send + Sync {
    /// The request for `provider/model`. The model that the request names is ignored.
    ///
    /// # Errors As if the model itself had failed.
    async fn request_for(&self, model: &str) -> Result<ChatRequest, LlmError>;
}

#[async_trait]
impl<P: Prompt> Prompt for &P {
    async fn request_for(&self, model: &str) -> Result<ChatRequest, LlmError> {
        (**self).request_for(model).await
    }
}

#[async_trait]
impl Prompt for ChatRequest {
    async fn request_for(&self, _: &str) -> Result<ChatRequest, LlmError> {
        Ok(self.clone())
    }
}

/// An answer on its way.
pub struct Answering {
    /// The model that answers, by its requested name.
    pub model: String,
    /// Its parts. The first token has arrived already.
    pub parts: PartStream,
}

impl Models {
    /// Adds a provider in this process: without retries or limits.
    pub fn insert(&mut self, provider: &str, model: Arc<dyn ChatModel>) {
        self.insert_resilient(provider, vec![model], &Resilience::none());
    }

    /// Adds a provider with retries, limits and breakers. `keys` is the same provider with each of
    /// its keys, at least one; when one is rate limited the next is used.
    pub fn insert_resilient(
        &mut self,
        provider: &str,
        keys: Vec<Arc<dyn ChatModel>>,
        how: &Resilience,
    ) {
        let resilient = Resilient::new(keys, how);
        self.providers
            .insert(provider.to_owned(), Arc::new(resilient));
    }

    /// The names of the providers.
    pub fn provider_names(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// Returns true if `provider/model` has a provider here.
    pub fn knows(&self, model: &str) -> bool {
        self.find(model).is_ok()
    }

    /// Sets the types of files that a model accepts, each as `image/png` or `image/*`; `name` is
    /// `provider/model`, or `provider` for all its other models.
    pub fn set_files(&mut self, name: &str, mime_types: Vec<String>) {
        self.files.insert(name.to_owned(), mime_types);
    }

    /// Returns true if `provider/model` accepts files of a type.
    pub fn takes_file(&self, model: &str, mime_type: &str) -> bool {
        let provider = model.split_once('/').map(|(provider, _)| provider);
        let own = self.files.get(model);
        let taken = own.or_else(|| self.files.get(provider?));
        taken.is_some_and(|patterns| is_mime_type_of(mime_type, patterns))
    }

    /// Sets the origin of a provider's models, which decides their capabilities. Without one they
    /// are permissive.
    pub fn set_origin(&mut self, provider: &str, origin: Origin) {
        Arc::make_mut(&mut self.known).insert(provider, origin);
    }

    /// The capabilities of `provider/model`.
    pub fn capabilities(&self, model: &str) -> Arc<Capabilities> {
        self.known.of(model)
    }

    /// Returns true if every provider could be called now.
    pub fn are_ready(&self) -> bool {
        self.providers.values().all(|provider| provider.is_ready())
    }

    /// Calls the first of `models`, each `provider/model`, that returns a first token.
    ///
    /// # Errors The last model's, or that of the first one that refuses the request itself: other
    /// models would refuse it as well. No token has been published then; an error after the first
    /// token is in the stream, and no other model is called.
    pub async fn stream(
        &self,
        models: &[String],
        prompt: impl Prompt,
    ) -> Result<Answering, LlmError> {
        let mut left = models.iter();
        while let Some(model) = left.next() {
            let next = left.as_slice().first();
            let patience = match next {
                Some(_) => Patience::GivesUp,
                None => Patience::Waits,
            };
            let error = match self.call(model, &prompt, patience).await {
                Ok(parts) => {
                    let model = model.clone();
                    return Ok(Answering { model, parts });
                }
                Err(error) => error,
            };
            match next {
                Some(next) if error.falls_back() => {
                    let code = <&str>::from(error.code());
                    tracing::warn!(model, next, code, "falling back to the next model");
                }
                _ => return Err(error),
            }
        }
        // An agent without a model is refused at start-up.
        Err(LlmError::Internal)
    }

    async fn call(
        &self,
        model: &str,
        prompt: &impl Prompt,
        patience: Patience,
    ) -> Result<PartStream, LlmError> {
        let (provider, name) = self.find(model)?;
        let mut request = prompt.request_for(model).await?;
        name.clone_into(&mut request.model);
        self.known.fit(model, &mut request);
        let span = tracing::error_span!("provider_call", model);
        let called = provider.call(&request, patience).instrument(span).await;
        called.map_err(|error| error.of(model))
    }

    pub(super) fn find<'a>(&self, model: &'a str) -> Result<(&Arc<Resilient>, &'a str), LlmError> {
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
