//! Idempotency keys: requests with the same key and content have one effect.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest, Sha256};

use talkgraph_domain::time::span;
use talkgraph_domain::{File, InterruptId, Principal, Resolution, RunId};
use talkgraph_store::{NewKey, RunInput, SharedStore, StoreError};

use crate::control::resolve_error::ResolveError;
use crate::control::start::StartRequest;
use crate::control::uploads::SentFile;

/// The lifetime of the key of a child run: longer than any run may take.
const CHILD_KEY_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl StartRequest {
    /// The request's key, as it is stored when the run starts.
    pub(crate) fn new_key(&self, lifetime: Duration) -> Option<NewKey> {
        Some(NewKey {
            key: self.key.clone()?,
            fingerprint: self.fingerprint(),
            lifetime: span(self.parent.map_or(lifetime, |_| CHILD_KEY_TTL)),
        })
    }

    /// A digest that is equal for equal requests.
    fn fingerprint(&self) -> [u8; 32] {
        let (operation, message) = match &self.input {
            RunInput::AfterHead => ("chat", None),
            RunInput::Beside(message) => ("editMessage", Some(message.id)),
            RunInput::Again(message) => ("regenerate", Some(message.id)),
        };
        let canonical = json!([
            operation,
            message.map(|message| message.to_string()),
            self.session.map(|session| session.to_string()),
            self.agent,
            self.text,
            <&str>::from(self.on_active),
            self.cancel_on_disconnect,
            self.options,
            self.files
                .iter()
                .map(fingerprint_of_sent)
                .collect::<Vec<_>>(),
        ]);
        digest_of(canonical)
    }
}

/// A digest of a request. The order of keys in objects does not count.
fn digest_of(mut canonical: serde_json::Value) -> [u8; 32] {
    canonical.sort_all_objects();
    Sha256::digest(canonical.to_string()).into()
}

/// Of a file that is fetched, its URL counts: the content there may change.
fn fingerprint_of_sent(file: &SentFile) -> serde_json::Value {
    match file {
        SentFile::Whole(file) => fingerprint_of(file),
        SentFile::At(link) => json!([link.name, link.mime_type, link.url.as_str()]),
    }
}

/// A file's name, type and content: its id is new each time that it is sent.
fn fingerprint_of(file: &File) -> serde_json::Value {
    let content: [u8; 32] = Sha256::digest(&file.content).into();
    json!([file.name, file.mime_type, content])
}

/// The idempotency keys of requests other than starts.
pub struct Idempotency {
    pub(crate) store: SharedStore,
    /// The lifetime of a key.
    pub(crate) ttl: Duration,
}

impl Idempotency {
    /// Stores a client's key for cancelling a run. `KeyReused` when another request has used it.
    pub async fn keep_cancel_key(
        &self,
        who: &Principal,
        run: RunId,
        key: String,
    ) -> Result<(), StoreError> {
        let canonical = json!(["cancelRun", run.to_string()]);
        let key = NewKey {
            key,
            fingerprint: digest_of(canonical),
            lifetime: span(self.ttl),
        };
        let kept = self.store.keep_key(who, &key, run).await?;
        match key.again(&kept) {
            StoreError::Repeated(_) => Ok(()),
            error => Err(error),
        }
    }

    /// A client's key for answers to interrupts of a run.
    pub(crate) fn resolve_key(
        &self,
        run: RunId,
        answers: &[(InterruptId, Resolution)],
        key: String,
    ) -> NewKey {
        let answers: Vec<_> = answers
            .iter()
            .map(|(id, resolution)| json!([id.to_string(), resolution]))
            .collect();
        let canonical = json!(["resolveInterrupts", run.to_string(), answers]);
        NewKey {
            key,
            fingerprint: digest_of(canonical),
            lifetime: span(self.ttl),
        }
    }

    /// Refuses a key that was used for other resolutions, or for another request.
    pub(crate) async fn check_key(
        &self,
        who: &Principal,
        key: &NewKey,
    ) -> Result<(), ResolveError> {
        let kept = self
            .store
            .kept_key(who, &key.key, TimeDelta::zero())
            .await?;
        match kept.map(|kept| key.again(&kept)) {
            None | Some(StoreError::Repeated(_)) => Ok(()),
            Some(_) => Err(ResolveError::KeyReused),
        }
    }
}
