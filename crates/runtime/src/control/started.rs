//! Runs that a start has created, now or under the same key before.

use std::sync::Arc;

use chrono::TimeDelta;

use talkgraph_bus::RunOutcome;
use talkgraph_domain::{Principal, RunId, RunStatus};
use talkgraph_store::{Rewind, StartedRun, StoreError};

use crate::control::start::{StartRequest, Started, Starter};
use crate::control::start_error::StartError;
use crate::run::event_log::POLL;

impl Starter {
    /// The run that the request's key has started before.
    pub(crate) async fn earlier(
        &self,
        who: &Principal,
        request: &StartRequest,
    ) -> Result<Option<Started>, StartError> {
        let Some(new) = request.new_key(self.services.limits.idempotency_ttl) else {
            return Ok(None);
        };
        let kept = self
            .services
            .store
            .kept_key(who, &new.key, TimeDelta::zero())
            .await;
        let Some(kept) = kept.map_err(StartError::Store)? else {
            return Ok(None);
        };
        match new.again(&kept) {
            StoreError::Repeated(run) => self.started(who, run).await.map(Some),
            _ => Err(StartError::KeyReused),
        }
    }

    /// A run that was started before, with its session and message as stored now.
    pub(crate) async fn started(&self, who: &Principal, run: RunId) -> Result<Started, StartError> {
        let store = &self.services.store;
        // Taken first: a run that is no longer live afterwards has its end in the database.
        let live = self.services.bus.get(run);
        let run = store.runs_by_id(who, &[run]).await?.pop();
        let run = run.ok_or(StartError::KeyOfDeleted)?;
        let session = store.sessions_by_id(who, &[run.session_id]).await?.pop();
        let message = store.messages_by_id(who, &[run.input_message_id]).await?;
        let message = message.into_iter().next().ok_or(StartError::KeyOfDeleted)?;
        // The task that executes the run has its own.
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

    /// The end of a started run, or its state when it is suspended; waits for either. None when
    /// this node cannot know it.
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
            let run = self.services.store.runs_by_id(who, &[id]).await?;
            let Some(run) = run.into_iter().next() else {
                return Ok(None);
            };
            if run.status.is_terminal() || run.status == RunStatus::AwaitingInput {
                let output = &[run.output_message_id];
                let message = self.services.store.messages_by_id(who, output).await?.pop();
                return Ok(Some(Arc::new(RunOutcome {
                    run,
                    message,
                    withdrawn: false,
                })));
            }
            live = self.services.bus.get(id);
            match (was_live, &live) {
                // It was resumed meanwhile.
                (_, Some(_)) => {}
                // This server stops, and has left it to the next one.
                (true, None) if self.lifecycle.is_draining() => return Ok(None),
                // Another process executes it.
                (_, None) => tokio::time::sleep(POLL).await,
            }
        }
    }
}
