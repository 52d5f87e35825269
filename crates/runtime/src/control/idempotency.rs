//! Starts that are sent again: an idempotency key stands for one run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest, Sha256};

use talkgraph_bus::RunOutcome;
use talkgraph_domain::time::span;
use talkgraph_domain::{File, InterruptId, Principal, Resolution, RunId, RunStatus};
use talkgraph_store::{NewKey, Rewind, RunInput, StartedRun, StoreError};

use crate::control::resolve_error::ResolveError;
use crate::control::start::{StartRequest, Started};
use crate::control::start_error::StartError;
use crate::control::uploads::SentFile;
use crate::run::event_log::POLL;
use crate::runner::Runner;

/// How long a call's key stands for the run that answers it: longer than any run may take.
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

    /// Tells whether two requests ask for the same.
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

/// A digest of what is asked. Objects are equal whatever the order of their keys, and so are
/// their digests.
fn digest_of(mut canonical: serde_json::Value) -> [u8; 32] {
    canonical.sort_all_objects();
    Sha256::digest(canonical.to_string()).into()
}

/// Of a file that is fetched, its URL counts: what is there may be another content by then.
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

impl Runner {
    /// Keeps a client's key for stopping a run. `KeyReused` when it stands for something else.
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
            lifetime: span(self.limits.idempotency_ttl),
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
            lifetime: span(self.limits.idempotency_ttl),
        }
    }

    /// Refuses a key that stands for other answers, or for something else.
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

    /// What the request's key has started before.
    pub(crate) async fn earlier(
        &self,
        who: &Principal,
        request: &StartRequest,
    ) -> Result<Option<Started>, StartError> {
        let Some(new) = request.new_key(self.limits.idempotency_ttl) else {
            return Ok(None);
        };
        let kept = self.store.kept_key(who, &new.key, TimeDelta::zero()).await;
        let Some(kept) = kept.map_err(StartError::Store)? else {
            return Ok(None);
        };
        match new.again(&kept) {
            StoreError::Repeated(run) => self.started(who, run).await.map(Some),
            _ => Err(StartError::KeyReused),
        }
    }

    /// A run that was started before, with what is stored beside it now.
    pub(crate) async fn started(&self, who: &Principal, run: RunId) -> Result<Started, StartError> {
        let store = &self.store;
        // Taken first: a run that is no longer live afterwards has its end in the database.
        let live = self.bus.get(run);
        let run = store.runs_by_id(who, &[run]).await?.pop();
        let run = run.ok_or(StartError::KeyOfDeleted)?;
        let session = store.sessions_by_id(who, &[run.session_id]).await?.pop();
        let message = store.messages_by_id(who, &[run.input_message_id]).await?;
        let message = message.into_iter().next().ok_or(StartError::KeyOfDeleted)?;
        // Whoever makes the run knows better; keys start no runs beside others.
        let before = Rewind {
            head: message.parent_id,
            branch_length: message.position,
            agent: None,
        };
        let stored = StartedRun {
            session: session.ok_or(StartError::KeyOfDeleted)?,
            message,
            run,
            before,
        };
        Ok(Started { stored, live })
    }

    /// How a started run has ended, once it has, or what it is when it waits for answers; `None` when that cannot be known here.
    pub async fn outcome(
        &self,
        who: &Principal,
        started: &Started,
    ) -> Result<Option<Arc<RunOutcome>>, StoreError> {
        let id = started.stored.run.id;
        let mut live = started.live.clone();
        loop {
            let was_live = live.is_some();
            if let Some(live) = live.take()
                && let Some(outcome) = live.finished().await
            {
                return Ok(Some(outcome));
            }
            let run = self.store.runs_by_id(who, &[id]).await?;
            let Some(run) = run.into_iter().next() else {
                return Ok(None);
            };
            if run.status.is_terminal() || run.status == RunStatus::AwaitingInput {
                let output = &[run.output_message_id];
                let message = self.store.messages_by_id(who, output).await?.pop();
                return Ok(Some(Arc::new(RunOutcome {
                    run,
                    message,
                    withdrawn: false,
                })));
            }
            live = self.bus.get(id);
            match (was_live, &live) {
                // It has had its answers already.
                (_, Some(_)) => {}
                // This server stops, and has left it to the next one.
                (true, None) if self.draining.load(Ordering::Acquire) => return Ok(None),
                // Another process makes it.
                (_, None) => tokio::time::sleep(POLL).await,
            }
        }
    }
}
