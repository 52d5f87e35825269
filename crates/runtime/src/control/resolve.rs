//! Resolution of interrupts: a run resumes after the last one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use talkgraph_domain::time::{now, span};
use talkgraph_domain::{Interrupt, InterruptId, InterruptKind, Principal, Resolution, Run, RunId};
use talkgraph_store::{Answered, NewAnswers, StoreError};
use talkgraph_tools::{AnswerSchema, ToolOutput};

use crate::control::idempotency::Idempotency;
use crate::control::lifecycle::Lifecycle;
use crate::control::recovery::Recovery;
use crate::control::resolve_error::ResolveError;
use crate::run::resume_point::ResumePoint;
use crate::run::services::RunServices;

/// Resolves interrupts.
pub struct InterruptResolver {
    pub(crate) services: Arc<RunServices>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) keys: Arc<Idempotency>,
}

impl InterruptResolver {
    /// Resolves interrupts of one run, all or none, and resumes the run after the last one. The
    /// same resolutions again change nothing, with or without the client's key. Completes even if
    /// the caller disconnects meanwhile.
    pub async fn resolve(
        self: &Arc<Self>,
        who: Principal,
        run: RunId,
        answers: Vec<(InterruptId, Resolution)>,
        key: Option<String>,
    ) -> Result<Answered, ResolveError> {
        if self.lifecycle.is_draining() {
            return Err(ResolveError::Draining);
        }
        let resolver = Arc::clone(self);
        // A separate task: between the commit and the run's next step nothing may be dropped.
        let task = self.lifecycle.tasks.spawn(async move {
            let key = key.map(|key| resolver.keys.resolve_key(run, &answers, key));
            if let Some(key) = &key {
                resolver.keys.check_key(&who, key).await?;
            }
            let answers = resolver.check_answers(&who, run, answers).await?;
            let ids: Vec<_> = answers.iter().map(|(id, _)| *id).collect();
            let taken = resolver.take_answers(who.clone(), run, answers).await;
            let answered = taken.map_err(|error| refused(error, &ids))?;
            if let Some(key) = &key
                && let Err(error) = resolver.services.store.keep_key(&who, key, run).await
            {
                tracing::warn!(%run, %error, "the key of the answers was not kept");
            }
            Ok(answered)
        });
        task.await.map_err(|error| {
            // The answers may be taken all the same.
            self.recovery.has_orphans.store(true, Ordering::Release);
            ResolveError::Lost(error.to_string())
        })?
    }

    /// The answers as they are stored, if each is one that its interrupt can have.
    async fn check_answers(
        &self,
        who: &Principal,
        run: RunId,
        answers: Vec<(InterruptId, Resolution)>,
    ) -> Result<Vec<(InterruptId, Resolution)>, ResolveError> {
        if self
            .services
            .store
            .runs_by_id(who, &[run])
            .await?
            .is_empty()
        {
            return Err(ResolveError::UnknownRun(run));
        }
        let ids: Vec<_> = answers.iter().map(|(id, _)| *id).collect();
        let found = self.services.store.interrupts_by_id(who, &ids).await?;
        let mut seen = HashSet::new();
        let mut checked = Vec::with_capacity(answers.len());
        for (at, (id, resolution)) in answers.into_iter().enumerate() {
            if !seen.insert(id) {
                return Err(ResolveError::Twice { at, interrupt: id });
            }
            let interrupt = found.iter().find(|one| one.id == id && one.run_id == run);
            let interrupt = interrupt.ok_or(ResolveError::Unknown { at, interrupt: id })?;
            let checked_one = self.check_answer(who, at, interrupt, resolution).await?;
            checked.push((id, checked_one));
        }
        Ok(checked)
    }

    async fn check_answer(
        &self,
        who: &Principal,
        at: usize,
        interrupt: &Interrupt,
        resolution: Resolution,
    ) -> Result<Resolution, ResolveError> {
        let answers = matches!(
            resolution,
            Resolution::Accepted { .. } | Resolution::Declined | Resolution::Dismissed
        );
        if answers != (interrupt.kind == InterruptKind::InputRequest) {
            return Err(ResolveError::Answer { at });
        }
        Ok(match (interrupt.kind, resolution) {
            (_, Resolution::Accepted { content }) => {
                let content = match interrupt.is_open() {
                    true => self.check_content(who, at, interrupt, content).await?,
                    false => content,
                };
                Resolution::Accepted { content }
            }
            (InterruptKind::ClientToolCall, Resolution::Approved { .. }) => {
                return Err(ResolveError::Kind { at, approves: true });
            }
            (InterruptKind::ToolApproval, Resolution::Result { .. }) => {
                return Err(ResolveError::Kind {
                    at,
                    approves: false,
                });
            }
            (_, Resolution::Approved { arguments }) => Resolution::Approved {
                // The same arguments are none that were edited.
                arguments: match arguments.filter(|edited| *edited != interrupt.arguments) {
                    // Of a resolved interrupt only the resolution is compared.
                    Some(edited) if interrupt.is_open() => {
                        self.check_edited(who, at, interrupt, &edited).await?;
                        Some(edited)
                    }
                    edited => edited,
                },
            },
            (
                _,
                Resolution::Result {
                    text,
                    is_error,
                    is_json,
                    ..
                },
            ) => {
                let output = ToolOutput::new(text).capped(self.services.limits.client_output_bytes);
                Resolution::Result {
                    text: output.text,
                    is_error,
                    truncated: output.truncated,
                    // The cut text of a value is no value any more.
                    is_json: is_json && !output.truncated,
                }
            }
            (_, resolution) => resolution,
        })
    }

    async fn check_edited(
        &self,
        who: &Principal,
        at: usize,
        interrupt: &Interrupt,
        edited: &serde_json::Value,
    ) -> Result<(), ResolveError> {
        let tool = self.services.tools.get(&interrupt.tool);
        let tool = tool.ok_or_else(|| ResolveError::NoTool {
            at,
            tool: interrupt.tool.clone(),
        })?;
        let validated = tool.validate(who, edited).await;
        validated.map_err(|error| ResolveError::Arguments {
            at,
            why: error.to_string(),
        })
    }

    /// Stores resolutions, announces them, and resumes the run after the last one.
    pub(crate) async fn take_answers(
        &self,
        who: Principal,
        run: RunId,
        answers: Vec<(InterruptId, Resolution)>,
    ) -> Result<Answered, StoreError> {
        let _turn = self.services.suspension_locks.take(run).await;
        let at = now();
        let new = NewAnswers {
            who: who.clone(),
            run,
            node: self.services.node,
            lease: span(self.services.limits.lease),
            answers,
            at,
        };
        let written = self.services.store.resolve_interrupts(new).await;
        if let Err(StoreError::Unavailable(_)) = &written {
            // It may be written all the same.
            self.recovery.has_orphans.store(true, Ordering::Release);
        }
        let answered = written?;
        if answered.resumed && self.services.bus.get(run).is_none() {
            self.resume(&who, &answered.run).await;
        }
        let news = self.services.bus.news();
        news.announce(&who, answered.run.session_id);
        let is_new = |interrupt: &&Interrupt| answered.changed.contains(&interrupt.id);
        news.announce_interrupts(&who, answered.interrupts.iter().filter(is_new));
        Ok(answered)
    }

    /// Resumes a run of this node that no task executes. The caller holds its suspension lock.
    async fn resume(&self, who: &Principal, run: &Run) {
        tracing::info!(run = %run.id, "going on with a run that has its answers");
        let begun = self.recovery.reopen(who.clone(), run.clone()).await;
        let begun = begun.map(|reopened| {
            let begin = match reopened.begin() {
                ResumePoint::Tools { step } => ResumePoint::Resumed { step },
                begin => begin,
            };
            self.recovery.execute(reopened, begin)
        });
        if let Err(error) = begun {
            tracing::error!(run = %run.id, %error, "a run was not resumed; retrying later");
            self.recovery.has_orphans.store(true, Ordering::Release);
        }
    }

    /// Checks the content of an answer against the question's schema.
    pub(crate) async fn check_content(
        &self,
        who: &Principal,
        at: usize,
        interrupt: &Interrupt,
        content: Value,
    ) -> Result<Value, ResolveError> {
        let question = interrupt.question.as_ref();
        let Some(schema) = question.and_then(|question| question.schema.as_ref()) else {
            return Ok(json!({}));
        };
        let wrong = |why: String| ResolveError::Content { at, why };
        let schema = AnswerSchema::new(&self.services.evaluator, who.into(), schema).await;
        // The fault is the server's; its answer is checked there.
        let Ok(schema) = schema else {
            tracing::warn!(
                tool = interrupt.tool,
                "the schema of a question is not valid"
            );
            return Ok(content);
        };
        let checked = schema.read(who, &content.to_string()).await;
        checked.map_err(|error| wrong(error.to_string()))
    }
}

fn refused(error: StoreError, answers: &[InterruptId]) -> ResolveError {
    match error {
        StoreError::Resolved(interrupt) => ResolveError::Resolved {
            at: answers
                .iter()
                .position(|id| *id == interrupt)
                .unwrap_or_default(),
            interrupt,
        },
        error => ResolveError::Store(error),
    }
}
