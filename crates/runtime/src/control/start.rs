//! Starts of runs: everything is stored before it is announced.

use std::sync::{Arc, Weak};

use serde_json::json;
use tokio::sync::Semaphore;

use talkgraph_bus::LiveRun;
use talkgraph_domain::session::title_from;
use talkgraph_domain::time::{now, span};
use talkgraph_domain::{
    Agent, ConcurrencyPolicy, Cost, File, MessageId, ParentRun, Part, Principal, Run, RunId,
    RunOptions, RunStatus, SessionId, Usage,
};
use talkgraph_store::{
    IfBusy, NewRun, NewSession, RunInput, SessionTarget, StartedRun, StoreError,
};

use talkgraph_tools::CallerHeaders;

use crate::control::cancel::Canceller;
use crate::control::lifecycle::Lifecycle;
use crate::control::request_check::{check_schema, check_tool_choice, check_variables};
use crate::control::start_error::StartError;
use crate::control::uploads::{SentFile, Uploads, WholeFiles};
use crate::control::{client_tools, preempt};
use crate::run::admission::first_events;
use crate::run::context::RunContext;
use crate::run::event_log::numbered;
use crate::run::executor::Execution;
use crate::run::files;
use crate::run::keyed_lock::KeyedLock;
use crate::run::message_builder::MessageBuilder;
use crate::run::resume_point::ResumePoint;
use crate::run::run_control::RunControl;
use crate::run::services::RunServices;
use crate::run::slot::RunSlot;
use crate::run::span;

/// The request for a run.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The session; a new one when absent.
    pub session: Option<SessionId>,
    /// The agent's name; the session's agent, or the default one, when absent.
    pub agent: Option<String>,
    /// The text of the user's message; empty where a message is answered again.
    pub text: String,
    /// The files of the user's message.
    pub files: Vec<SentFile>,
    /// The options of this run alone.
    pub options: RunOptions,
    /// The headers of the caller's request that tools of the run may pass on. They are kept in
    /// memory alone, and do not distinguish two requests.
    pub headers: CallerHeaders,
    /// The id of the caller's request, for the log; like the headers, it does not distinguish two
    /// requests.
    pub request_id: Option<String>,
    /// The position of the message in the session's tree.
    pub input: RunInput,
    /// The run that asks, where another agent does; the new session is of no list then.
    pub parent: Option<ParentRun>,
    /// The effect on a run that is active in the session.
    pub on_active: ConcurrencyPolicy,
    /// True if the run is cancelled when the caller that waits for it disconnects.
    pub cancel_on_disconnect: bool,
    /// The client's key: the same one with the same request gives the same run.
    pub key: Option<String>,
}

/// A run under way, or one that its key has started before.
pub struct Started {
    /// The run as stored.
    pub stored: StartedRun,
    /// The run while it is live on this node.
    pub live: Option<Arc<LiveRun>>,
}

/// Starts runs.
pub struct Starter {
    pub(crate) services: Arc<RunServices>,
    pub(crate) canceller: Arc<Canceller>,
    pub(crate) uploads: Uploads,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// Passed to each run; weak, as the services behind it use this one.
    pub(crate) control: Weak<dyn RunControl>,
    /// One permit for each run that may wait.
    pub(crate) queue: Arc<Semaphore>,
    /// Held by starts with the same key, by tenant, owner and key.
    pub(crate) keys: KeyedLock<(Arc<str>, Arc<str>, String)>,
}

impl Starter {
    /// Starts a run. Completes even if the caller disconnects meanwhile.
    pub async fn start(
        self: &Arc<Self>,
        who: Principal,
        request: StartRequest,
    ) -> Result<Started, StartError> {
        if self.lifecycle.is_draining() {
            return Err(StartError::Draining);
        }
        // Gone only after the server has stopped.
        let control = self.control.upgrade().ok_or(StartError::Draining)?;
        let starter = Arc::clone(self);
        // A separate task: between the commit and the first step nothing may be dropped.
        let task = self
            .lifecycle
            .tasks
            .spawn(async move { starter.start_now(control, who, request).await });
        task.await
            .map_err(|error| StartError::Lost(error.to_string()))?
    }

    async fn start_now(
        self: Arc<Self>,
        control: Arc<dyn RunControl>,
        who: Principal,
        request: StartRequest,
    ) -> Result<Started, StartError> {
        // Those that come with the same key meanwhile find the run that this one starts.
        let _turn = match &request.key {
            None => None,
            Some(key) => {
                let name = (who.tenant.clone(), who.owner.clone(), key.clone());
                Some(self.keys.take(name).await)
            }
        };
        if let Some(earlier) = self.earlier(&who, &request).await? {
            return Ok(earlier);
        }
        let (session, mut agent) = self.place(&who, &request).await?;
        // Before it takes a slot or preempts a run: the servers of files may be slow.
        let WholeFiles {
            files,
            place: fetching,
        } = self.uploads.read(&request.files).await?;
        self.uploads.check(&agent, &files)?;
        // One after the other: otherwise many would stop each other's runs all at once.
        let _room = match session {
            Some(session) if request.makes_room() => {
                Some(self.services.session_locks.take(session).await)
            }
            _ => None,
        };
        let place = match request.parent {
            Some(_) => RunSlot::OfParent,
            None => self.take_place()?,
        };
        let starts_now = !matches!(place, RunSlot::Queued(_));
        self.uploads.keep(&who, &files).await?;
        drop(fetching);
        let mut tries = 0;
        let (stored, live) = loop {
            let new = self.new_run(&who, session, &agent, (&request, &files), starts_now);
            match self.commit(new, &agent).await {
                Ok(started) => break started,
                Err(StoreError::ActiveRun(run))
                    if request.makes_room() && tries < preempt::TRIES =>
                {
                    let made =
                        preempt::preempt(&self.canceller, &who, run, request.on_active).await;
                    // The run may have handed the session to another agent, or given it back.
                    let placed = match made {
                        Ok(()) => self.place(&who, &request).await,
                        Err(error) => Err(error),
                    };
                    let placed = placed.and_then(|(_, now)| {
                        self.uploads.check(&now, &files)?;
                        Ok(now)
                    });
                    match placed {
                        Ok(now) => agent = now,
                        Err(error) => {
                            self.uploads.discard(&who, &files).await;
                            return Err(error);
                        }
                    }
                    tries += 1;
                }
                Err(error) => {
                    // Of any other error it is not known that nothing was written.
                    if !matches!(error, StoreError::Unavailable(_) | StoreError::Internal(_)) {
                        self.uploads.discard(&who, &files).await;
                    }
                    return match error {
                        StoreError::Repeated(run) => self.started(&who, run).await,
                        error => Err(refused(error, &request)),
                    };
                }
            }
        };
        let headers = request.headers;
        let task = Assigned {
            who,
            agent,
            headers,
        };
        self.spawn_execution(control, task, &stored, Arc::clone(&live), place);
        let live = Some(live);
        Ok(Started { stored, live })
    }

    /// Stores a run's start, and then publishes it.
    async fn commit(
        &self,
        new: NewRun,
        agent: &Agent,
    ) -> Result<(StartedRun, Arc<LiveRun>), StoreError> {
        let (who, id, events) = (new.who.clone(), new.run.id, new.events.clone());
        let parent = new.run.parent.map(|parent| parent.run);
        let span = span::of_run(&new.run, Some(&agent.name));
        let live = self
            .services
            .bus
            .open(id, parent, self.services.limits.tail_events, span);
        match self.services.store.start_run(new).await {
            Ok(stored) => {
                if !stored.run.enqueued {
                    live.publish(&events);
                }
                self.services.bus.news().announce(&who, stored.session.id);
                Ok((stored, live))
            }
            Err(error) => {
                self.services.bus.close(id);
                Err(error)
            }
        }
    }

    /// Finds the session and the agent a run is for, and refuses what that agent cannot answer.
    async fn place(
        &self,
        who: &Principal,
        request: &StartRequest,
    ) -> Result<(Option<SessionId>, Arc<Agent>), StartError> {
        let (session, agent) = self.find_place(who, request).await?;
        check_variables(&self.services.evaluator, who, &agent, &request.options).await?;
        check_tool_choice(&agent, &request.options)?;
        check_schema(&self.services.evaluator, who, &request.options).await?;
        let tools = &request.options.client_tools;
        client_tools::check(tools, &agent, who, &self.services.tools).await?;
        Ok((session, agent))
    }

    async fn find_place(
        &self,
        who: &Principal,
        request: &StartRequest,
    ) -> Result<(Option<SessionId>, Arc<Agent>), StartError> {
        let named = match &request.agent {
            Some(name) => Some(
                self.services
                    .agents
                    .by_name(who, name)
                    .await
                    .map_err(StartError::Store)?
                    .ok_or_else(|| StartError::UnknownAgent(name.clone()))?,
            ),
            None => None,
        };
        let Some(id) = request.session else {
            return Ok((
                None,
                named.unwrap_or_else(|| self.services.catalog.default_agent()),
            ));
        };
        let found = self.services.store.sessions_by_id(who, &[id]).await;
        let mut sessions = found.map_err(StartError::Store)?;
        // Callers cannot take part in sessions of child runs.
        let session = sessions.pop().filter(|found| found.parent_run.is_none());
        let session = session.ok_or(StartError::UnknownSession(id))?;
        let agent = self
            .services
            .agents
            .by_id(who, session.agent_id)
            .await
            .map_err(StartError::Store)?
            .ok_or(StartError::ArchivedAgent)?;
        match named {
            Some(named) if named.id != agent.id => Err(StartError::OtherAgent(agent.name.clone())),
            _ => Ok((Some(id), agent)),
        }
    }

    fn take_place(&self) -> Result<RunSlot, StartError> {
        if let Ok(place) = Arc::clone(&self.services.slots).try_acquire_owned() {
            return Ok(RunSlot::Running(place));
        }
        let place = Arc::clone(&self.queue).try_acquire_owned();
        place.map(RunSlot::Queued).map_err(|_| StartError::Busy)
    }

    fn new_run(
        &self,
        who: &Principal,
        session: Option<SessionId>,
        agent: &Agent,
        (request, files): (&StartRequest, &[File]),
        starts_now: bool,
    ) -> NewRun {
        let at = now();
        let (text, input) = (request.text.clone(), request.input.clone());
        let (message_id, title, parts) = match &input {
            RunInput::Again(message) => (message.id, None, message.parts.clone()),
            RunInput::AfterHead | RunInput::Beside(_) => {
                let title = title_from(&text);
                let said = (!text.is_empty()).then_some(Part::Text { text });
                let parts = said.into_iter().chain(files::parts(files));
                (MessageId::new(), title, parts.collect())
            }
        };
        let target = session.map_or_else(
            || {
                SessionTarget::New(NewSession {
                    id: SessionId::new(),
                    agent_id: agent.id,
                    parent_run: request.parent.map(|parent| parent.run),
                    title: None,
                    metadata: json!({}),
                    created_at: at,
                })
            },
            SessionTarget::Existing,
        );
        let mut run = Run {
            id: RunId::new(),
            session_id: target.id(),
            agent_id: agent.id,
            agent_version_id: agent.current.id,
            model: self
                .services
                .catalog
                .model_of(&agent.current.spec)
                .to_owned(),
            status: match starts_now {
                true => RunStatus::Running,
                false => RunStatus::Queued,
            },
            enqueued: false,
            turn: None,
            finish_reason: None,
            error: None,
            usage: Usage::default(),
            cost: Some(Cost::ZERO),
            options: RunOptions {
                request_id: request.request_id.clone(),
                ..request.options.clone()
            },
            parent: request.parent,
            input_message_id: message_id,
            output_message_id: MessageId::new(),
            last_sequence: 0,
            created_at: at,
            started_at: starts_now.then_some(at),
            finished_at: None,
            log_compacted_at: None,
            fence: 0,
        };
        let events = match starts_now {
            true => numbered(run.id, 1, at, first_events(agent, &run.model)),
            false => Vec::new(),
        };
        run.last_sequence = events.len() as u64;
        NewRun {
            who: who.clone(),
            session: target,
            input,
            message_id,
            parts,
            title,
            events,
            node: self.services.node,
            lease: span(self.services.limits.lease),
            key: request.new_key(self.services.limits.idempotency_ttl),
            if_busy: request.if_busy(self.services.limits.session_queue),
            run,
        }
    }

    fn spawn_execution(
        &self,
        control: Arc<dyn RunControl>,
        Assigned {
            who,
            agent,
            headers,
        }: Assigned,
        stored: &StartedRun,
        live: Arc<LiveRun>,
        place: RunSlot,
    ) {
        let (run, before) = (stored.run.clone(), Some(stored.before));
        let begin = match run.status {
            _ if run.enqueued => ResumePoint::Enqueued,
            RunStatus::Queued => ResumePoint::Queued,
            _ => ResumePoint::Announced,
        };
        let mut answer = MessageBuilder::new(run.output_message_id);
        answer.begin_step();
        let mut ctx = RunContext::new(
            &self.services,
            control,
            who,
            run,
            &stored.message,
            live,
            answer,
        );
        ctx.rewind = before;
        let task = Execution::new(agent, stored.message.clone(), ctx).with_headers(headers);
        // Whatever place it has: an enqueued run waits for its turn first.
        let place = Some(place).filter(|_| begin != ResumePoint::Enqueued);
        self.lifecycle.tasks.spawn(task.watched(begin, place));
    }
}

/// A new run's owner, agent and request headers.
struct Assigned {
    who: Principal,
    agent: Arc<Agent>,
    headers: CallerHeaders,
}

impl StartRequest {
    /// The effect of an active run in the session, where `limit` runs may wait.
    fn if_busy(&self, limit: u32) -> IfBusy {
        match self.on_active {
            ConcurrencyPolicy::Reject => IfBusy::Refuse,
            ConcurrencyPolicy::Interrupt | ConcurrencyPolicy::Rollback => IfBusy::GoFirst,
            ConcurrencyPolicy::Enqueue => IfBusy::Wait {
                limit: i32::try_from(limit).unwrap_or(i32::MAX),
            },
        }
    }

    /// True if it cancels an active run of its session.
    fn makes_room(&self) -> bool {
        matches!(
            self.on_active,
            ConcurrencyPolicy::Interrupt | ConcurrencyPolicy::Rollback
        )
    }
}

fn refused(error: StoreError, request: &StartRequest) -> StartError {
    match (error, request.session) {
        (StoreError::ActiveRun(run), _) => StartError::ActiveRun(run),
        (StoreError::QueueFull, _) => StartError::SessionQueueFull,
        (StoreError::KeyReused, _) => StartError::KeyReused,
        (StoreError::NotFound, Some(session)) => StartError::UnknownSession(session),
        (error, _) => StartError::Store(error),
    }
}
