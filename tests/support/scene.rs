//! Someone who talks to an agent: builds what the store takes.

use std::sync::Arc;

use serde_json::json;
use talkgraph_domain::agent::AgentLimits;
use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{
    Agent, AgentSpec, Cost, EventBody, FinishReason, Message, MessageId, NodeId, Part, Principal,
    Role, Run, RunEvent, RunId, RunOptions, RunStatus, Session, SessionId, Usage,
};
use talkgraph_store::{
    FinishedRun, IfBusy, NewEvents, NewRun, NewSession, RunInput, SessionTarget, SharedStore,
    StartedRun, StoreError,
};

use super::database::Database;

/// A principal on a node, with an agent to talk to.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) store: SharedStore,
    pub(crate) who: Principal,
    pub(crate) agent: Agent,
    pub(crate) node: NodeId,
}

/// An agent's configuration.
pub(crate) fn spec(name: &str) -> AgentSpec {
    AgentSpec {
        name: name.to_owned(),
        description: "Answers.".to_owned(),
        instructions: "You answer. Today is {{ date }}.".to_owned(),
        models: Vec::new(),
        tools: Vec::new(),
        handoffs: Vec::new(),
        agents_as_tools: Vec::new(),
        output_schema: None,
        time_zone: None,
        parameters: Default::default(),
        summary: None,
        limits: AgentLimits::default(),
    }
}

impl Scene {
    /// Opens the database, with one agent.
    pub(crate) async fn new(database: &Database) -> Self {
        Self::on(database.open().await).await
    }

    /// One more node on the same database, for the same principal.
    pub(crate) async fn another_node(&self, database: &Database) -> Self {
        Self {
            store: database.open().await,
            node: NodeId::new(),
            ..self.clone()
        }
    }

    /// On a store, with one agent.
    pub(crate) async fn on(store: SharedStore) -> Self {
        let agents = store.sync_file_agents(&[spec("helper")]).await.unwrap();
        Self {
            store,
            who: Principal::new("acme", "ann", "test"),
            agent: agents.into_iter().next().unwrap(),
            node: NodeId::new(),
        }
    }

    /// The same scene seen by somebody else.
    pub(crate) fn seen_by(&self, tenant: &str, owner: &str) -> Self {
        Self {
            who: Principal::new(tenant, owner, "test"),
            ..self.clone()
        }
    }

    pub(crate) fn new_session(&self) -> NewSession {
        NewSession {
            id: SessionId::new(),
            agent_id: self.agent.id,
            parent_run: None,
            title: None,
            metadata: json!({}),
            created_at: now(),
        }
    }

    pub(crate) async fn session(&self) -> Session {
        let session = self.new_session();
        self.store.create_session(&self.who, session).await.unwrap()
    }

    /// A run that says `text`, with its first event.
    pub(crate) fn new_run(&self, session: SessionTarget, text: &str) -> NewRun {
        let (id, message_id, at) = (RunId::new(), MessageId::new(), now());
        NewRun {
            who: self.who.clone(),
            run: Run {
                id,
                session_id: session.id(),
                agent_id: self.agent.id,
                agent_version_id: self.agent.current.id,
                model: "test/model".to_owned(),
                status: RunStatus::Queued,
                enqueued: false,
                turn: None,
                finish_reason: None,
                error: None,
                usage: Usage::default(),
                cost: Some(Cost::ZERO),
                input_message_id: message_id,
                output_message_id: MessageId::new(),
                last_sequence: 1,
                created_at: at,
                started_at: None,
                finished_at: None,
                options: RunOptions::default(),
                log_compacted_at: None,
                fence: 0,
                parent: None,
            },
            session,
            input: RunInput::AfterHead,
            message_id,
            parts: text_parts(text),
            title: Some(text.to_owned()),
            events: vec![event(id, 1, EventBody::RunStarted)],
            node: self.node,
            lease: chrono::TimeDelta::seconds(30),
            key: None,
            if_busy: IfBusy::Refuse,
        }
    }

    /// Starts a run in a session that is there.
    pub(crate) async fn start(&self, session: SessionId) -> Result<StartedRun, StoreError> {
        let run = self.new_run(SessionTarget::Existing(session), "Hello");
        self.store.start_run(run).await
    }

    /// Starts a run in a new session.
    pub(crate) async fn start_new(&self) -> StartedRun {
        let run = self.new_run(SessionTarget::New(self.new_session()), "Hello");
        self.store.start_run(run).await.unwrap()
    }

    pub(crate) fn new_events(&self, events: Vec<Arc<RunEvent>>) -> NewEvents {
        NewEvents {
            who: self.who.clone(),
            node: self.node,
            fence: 0,
            events,
            started_at: None,
            awaits: Vec::new(),
            mends_log: false,
        }
    }

    /// Appends events and waits until they are committed.
    pub(crate) async fn append(&self, events: NewEvents) -> Result<(), StoreError> {
        let (reply, outcome) = tokio::sync::oneshot::channel();
        let done = Box::new(move |outcome| drop(reply.send(outcome)));
        self.store.append_events(events, done).await?;
        outcome.await.unwrap()
    }

    /// The end of a run with the answer `text` and one event, numbered `sequence`.
    pub(crate) fn end(&self, started: &StartedRun, sequence: u64, text: &str) -> FinishedRun {
        let mut run = started.run.clone();
        run.status = RunStatus::Completed;
        run.finish_reason = Some(FinishReason::Stop);
        run.usage.output_tokens = 7;
        run.started_at = Some(now());
        run.finished_at = Some(now());
        let completed = EventBody::RunCompleted {
            finish_reason: FinishReason::Stop,
        };
        FinishedRun {
            who: self.who.clone(),
            node: self.node,
            message: Some(Message {
                id: run.output_message_id,
                session_id: run.session_id,
                parent_id: Some(started.message.id),
                position: started.message.position + 1,
                role: Role::Assistant,
                run_id: run.id,
                parts: text_parts(text),
                finish_reason: run.finish_reason,
                created_at: now(),
            }),
            rewind: None,
            closed: Vec::new(),
            events: vec![event(run.id, sequence, completed)],
            mends_log: false,
            run,
        }
    }

    /// One question and its answer in a session; returns the answer.
    pub(crate) async fn turn(&self, session: SessionId) -> Message {
        let started = self.start(session).await.unwrap();
        let end = self.end(&started, 2, "Hi");
        self.store.finish_run(end.clone()).await.unwrap();
        end.message.unwrap()
    }

    /// The session as it is stored.
    pub(crate) async fn read(&self, session: SessionId) -> Option<Session> {
        let mut found = self
            .store
            .sessions_by_id(&self.who, &[session])
            .await
            .unwrap();
        found.pop()
    }

    /// The active runs of sessions.
    pub(crate) async fn active(&self, sessions: &[SessionId]) -> Vec<RunId> {
        let found = self.store.sessions_by_id(&self.who, sessions).await;
        let active = found.unwrap().into_iter().filter_map(|s| s.active_run);
        active.map(|run| run.id).collect()
    }

    /// The run as it is stored.
    pub(crate) async fn read_run(&self, run: RunId) -> Option<Run> {
        let mut found = self.store.runs_by_id(&self.who, &[run]).await.unwrap();
        found.pop()
    }

    /// The log of a run.
    pub(crate) async fn log(&self, run: RunId) -> Vec<RunEvent> {
        self.store.events(&self.who, run, 0, 10_000).await.unwrap()
    }

    /// The sequences in a run's log.
    pub(crate) async fn sequences(&self, run: RunId) -> Vec<u64> {
        let log = self.log(run).await;
        log.iter().map(|event| event.sequence).collect()
    }
}

pub(crate) fn text_parts(text: &str) -> Vec<Part> {
    vec![Part::Text {
        text: text.to_owned(),
    }]
}

pub(crate) fn event(run_id: RunId, sequence: u64, body: EventBody) -> Arc<RunEvent> {
    Arc::new(RunEvent {
        run_id,
        sequence,
        first_sequence: sequence,
        at: now(),
        body,
    })
}

/// Text deltas with the given sequences.
pub(crate) fn deltas(run: &Run, sequences: std::ops::RangeInclusive<u64>) -> Vec<Arc<RunEvent>> {
    let delta = |sequence| EventBody::TextDelta {
        message_id: run.output_message_id,
        delta: format!("word {sequence} "),
        end: sequence * 7,
    };
    sequences
        .map(|sequence| event(run.id, sequence, delta(sequence)))
        .collect()
}

/// So many seconds from now by the database's clock.
pub(crate) fn span(seconds: i64) -> chrono::TimeDelta {
    chrono::TimeDelta::seconds(seconds)
}

/// A time `seconds` from now.
pub(crate) fn later(seconds: i64) -> Timestamp {
    now() + chrono::TimeDelta::seconds(seconds)
}
