//! Calls with retries, rate limits, concurrency limits and breakers.
//!
//! All of that happens before the first token. A part that was published is never published again.

mod begin;
mod breakers;
mod loading;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tracing::{Instrument, field};

use self::begin::begin;
use super::error::Health;
use super::{ChatModel, ChatRequest, LlmError, PartStream};
use breakers::{Breakers, Pass};
use loading::Loading;
use talkgraph_resilience::{Backoff, Budget, Gate, Rotation};

#[cfg(test)]
mod tests;

/// The maximum number of models of one provider whose breakers and pauses are remembered. Agents
/// and settings name a handful; the limit is for names from the API.
const REMEMBERED_MODELS: usize = 1_024;

/// The settings of calls to a provider.
#[derive(Debug, Clone)]
pub struct Resilience {
    /// The maximum number of attempts of one call, the first included; at least 1.
    pub attempts: u32,
    /// The longest wait before the first retry; each further one may take twice as long.
    pub backoff: Duration,
    /// The longest wait before any retry for which the provider requests none.
    pub backoff_cap: Duration,
    /// The longest `Retry-After` that is obeyed; longer ones are cut to it.
    pub retry_after_cap: Duration,
    /// The longest time that a call waits for a server that is still loading its model.
    pub loading_timeout: Duration,
    /// The number of retries for a hundred calls.
    pub retry_percent: u32,
    /// The number of retries beyond that, one of which is restored each second.
    pub retry_floor: u32,
    /// The number of consecutive failures of a model after which it is not called; 0 for no limit.
    pub breaker_failures: u32,
    /// The pause of a model before one call tries it again.
    pub breaker_pause: Duration,
    /// The maximum number of concurrent calls.
    pub concurrency: usize,
    /// The maximum number of calls that wait for a slot.
    pub queue: usize,
    /// The longest wait for a slot.
    pub queue_timeout: Duration,
}

impl Resilience {
    /// One attempt, no breaker, no limit: for a model in this process.
    pub(crate) fn none() -> Self {
        Self {
            attempts: 1,
            backoff: Duration::ZERO,
            backoff_cap: Duration::ZERO,
            retry_after_cap: Duration::ZERO,
            loading_timeout: Duration::ZERO,
            retry_percent: 0,
            retry_floor: 0,
            breaker_failures: 0,
            breaker_pause: Duration::ZERO,
            concurrency: usize::MAX,
            queue: 0,
            queue_timeout: Duration::ZERO,
        }
    }
}

/// The reaction of a call that is asked to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waits, since there is no other model.
    Waits,
    /// Gives up, since another model can answer now.
    GivesUp,
}

/// One provider and its state.
pub(crate) struct Resilient {
    /// The provider, once for each of its keys.
    keys: Vec<Arc<dyn ChatModel>>,
    attempts: u32,
    backoff: Backoff,
    retry_after_cap: Duration,
    loading_timeout: Duration,
    budget: Budget,
    gate: Gate,
    breaker_failures: u32,
    breaker_pause: Duration,
    models: Mutex<HashMap<String, Arc<Model>>>,
}

/// The state of a model. Providers limit each of theirs separately.
struct Model {
    breakers: Breakers,
    keys: Rotation,
}

/// A failed attempt.
struct Failed {
    error: LlmError,
    /// True if the provider has received anything of it.
    was_sent: bool,
}

impl Failed {
    fn unsent(error: LlmError) -> Self {
        let was_sent = false;
        Self { error, was_sent }
    }
}

impl Resilient {
    /// Calls [`ChatModel::count_tokens`].
    pub(crate) fn count_tokens(&self, text: &str) -> Option<u64> {
        self.keys.first()?.count_tokens(text)
    }

    /// Calls [`ChatModel::sees_tools`].
    pub(crate) fn sees_tools(&self) -> bool {
        self.keys.first().is_none_or(|model| model.sees_tools())
    }

    /// Creates a provider with `keys`: the same one with each of its keys, at least one.
    pub(crate) fn new(keys: Vec<Arc<dyn ChatModel>>, how: &Resilience) -> Self {
        Self {
            keys,
            attempts: how.attempts,
            backoff: Backoff {
                base: how.backoff,
                cap: how.backoff_cap,
            },
            retry_after_cap: how.retry_after_cap,
            loading_timeout: how.loading_timeout,
            budget: Budget::new(how.retry_percent, how.retry_floor),
            gate: Gate::new(how.concurrency, how.queue, how.queue_timeout),
            breaker_failures: how.breaker_failures,
            breaker_pause: how.breaker_pause,
            models: Mutex::default(),
        }
    }

    /// Returns true if it could be called now.
    pub(crate) fn is_ready(&self) -> bool {
        self.keys.iter().all(|key| key.is_ready())
    }

    /// Calls `request.model`. The stream has its first token already, so no part was published if
    /// this returns an error.
    pub(crate) async fn call(
        &self,
        request: &ChatRequest,
        patience: Patience,
    ) -> Result<PartStream, LlmError> {
        let model = self.model(&request.model);
        self.budget.deposit();
        let (mut attempt, mut other_keys) = (1, self.keys.len().saturating_sub(1));
        let mut loading = Loading::new(self.loading_timeout);
        loop {
            let span = tracing::error_span!("attempt", attempt, provider_request_id = field::Empty);
            let tried = self.attempt(&model, request).instrument(span.clone()).await;
            let Failed { error, was_sent } = match tried {
                Ok(parts) => return Ok(parts),
                Err(failed) => failed,
            };
            if let LlmError::Loading { retry_after } = &error {
                let wait = loading.wait(retry_after.map(|wait| wait.min(self.retry_after_cap)));
                // Another model can answer meanwhile.
                let Some(wait) = wait.filter(|_| patience == Patience::Waits) else {
                    return Err(error);
                };
                tracing::info!(parent: &span, ?wait, "waiting for a model to load");
                sleep(wait).await;
                continue;
            }
            let rest = model.keys.pick().err();
            // Another key is other capacity: using it is not a retry, and each is used once.
            if was_sent && is_of_key(&error) && rest.is_none() && other_keys > 0 {
                other_keys -= 1;
                continue;
            }
            let asked = rest.max(self.asked_wait(&error)).unwrap_or_default();
            let gives_up = patience == Patience::GivesUp && asked > Duration::ZERO;
            if attempt >= self.attempts || !error.is_retried() || gives_up {
                return Err(error);
            }
            if was_sent && !self.budget.withdraw() {
                tracing::warn!(parent: &span, "retry budget exhausted");
                return Err(error);
            }
            let wait = asked + self.backoff.wait(attempt);
            let code = <&str>::from(error.code());
            tracing::warn!(parent: &span, ?wait, code, "retrying a model call");
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// The wait that the provider requests. A rate limit applies to its key, which is paused.
    fn asked_wait(&self, error: &LlmError) -> Option<Duration> {
        let asked = error.retry_after().filter(|_| !is_limit(error));
        asked.map(|wait| wait.min(self.retry_after_cap))
    }

    async fn attempt(&self, model: &Model, request: &ChatRequest) -> Result<PartStream, Failed> {
        // Checked before the queue as well, so that no call waits in vain.
        model
            .breakers
            .check(&request.tenant)
            .map_err(|_| Failed::unsent(LlmError::CircuitOpen))?;
        model.key()?;
        let place = self.gate.enter().await.map_err(|error| {
            tracing::warn!(%error, "model call refused: no free slot");
            Failed::unsent(LlmError::Busy)
        })?;
        let key = model.key()?;
        let mut permit = model.pass(&request.tenant)?;
        let provider = self
            .keys
            .get(key)
            .ok_or_else(|| Failed::unsent(LlmError::Internal))?;
        match begin(provider.stream(request.clone()).await).await {
            Ok(begun) => {
                permit.begins_well();
                Ok(begun.guarded_by(permit, place))
            }
            Err(error) => {
                settle(permit, &error);
                if let LlmError::RateLimited { retry_after } = &error {
                    let rest = retry_after.map(|wait| wait.min(self.retry_after_cap));
                    model.keys.rest(key, rest);
                }
                // Another account may have credit; this one is tried again after the others.
                if error == LlmError::QuotaExhausted {
                    model.keys.rest(key, None);
                }
                let was_sent = true;
                Err(Failed { error, was_sent })
            }
        }
    }

    fn model(&self, name: &str) -> Arc<Model> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(name) {
            return Arc::clone(model);
        }
        if models.len() >= REMEMBERED_MODELS {
            models.retain(|_, model| !model.is_fresh());
        }
        let model = Arc::new(Model {
            breakers: Breakers::new(self.breaker_failures, self.breaker_pause),
            keys: Rotation::new(self.keys.len()),
        });
        if models.len() < REMEMBERED_MODELS {
            models.insert(name.to_owned(), Arc::clone(&model));
        }
        model
    }
}

impl Model {
    fn key(&self) -> Result<usize, Failed> {
        self.keys.pick().map_err(|rest| {
            let retry_after = Some(rest);
            Failed::unsent(LlmError::RateLimited { retry_after })
        })
    }

    fn pass(&self, tenant: &str) -> Result<Pass, Failed> {
        let passed = self.breakers.pass(tenant);
        passed.map_err(|_| Failed::unsent(LlmError::CircuitOpen))
    }

    fn is_fresh(&self) -> bool {
        self.breakers.is_fresh() && self.keys.is_fresh()
    }
}

/// Returns true if another key may succeed.
fn is_of_key(error: &LlmError) -> bool {
    is_limit(error) || *error == LlmError::QuotaExhausted
}

fn is_limit(error: &LlmError) -> bool {
    matches!(error, LlmError::RateLimited { .. })
}

/// Reports the outcome of a call to the breaker.
fn settle(permit: Pass, error: &LlmError) {
    match error.health() {
        Health::Well => permit.succeeded(),
        Health::Ill => permit.failed(),
        Health::Unknown => drop(permit),
    }
}
