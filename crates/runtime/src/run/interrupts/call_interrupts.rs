//! Which calls are made, which have to be asked about, and letting a run wait.

use serde_json::Value;

use talkgraph_domain::time::{Timestamp, now};
use talkgraph_domain::{
    EventBody, Interrupt, InterruptId, InterruptKind, Resolution, Resolved, ResultPart, ToolCallId,
    ToolResult,
};

use crate::run::context::Ending;
use crate::run::event_log::Change;
use crate::run::executor::{Stop, internal};
use crate::run::tool_calls::{Call, Toolbox};

/// A call that somebody has to be asked about.
pub(crate) struct Question {
    call: ToolCallId,
    tool: String,
    kind: InterruptKind,
    arguments: Value,
}

/// What becomes of the calls of a step.
pub(crate) struct Sorted {
    /// Those that are made now.
    pub(crate) make: Vec<Call>,
    /// Those that somebody has to be asked about.
    pub(crate) ask: Vec<Question>,
}

impl Ending {
    /// Sorts the calls that have no result. Those that are answered without being made get
    /// their results.
    pub(crate) async fn sort_calls(&mut self, toolbox: &Toolbox) -> Sorted {
        let (mut make, mut ask) = (Vec::new(), Vec::new());
        let most = self.runner.limits.interrupts;
        for (id, name, arguments) in self.answer.open_calls() {
            let asked = self.asked.iter().find(|asked| {
                asked.tool_call_id == id && asked.kind != InterruptKind::InputRequest
            });
            let resolved = asked.and_then(|asked| asked.resolution.as_ref());
            let result = resolved.and_then(|resolved| result_of(id, resolved));
            if let Some(result) = result {
                let told = self.answer.complete_call(result);
                self.pending.push(told);
                continue;
            }
            let call = Call {
                id,
                name,
                arguments,
                is_approved: resolved.is_some(),
            };
            match toolbox.question(&call).await {
                None => make.push(call),
                Some(_) if self.asked.len() + ask.len() >= most => {
                    let told = self.answer.complete_call(too_often(id));
                    self.pending.push(told);
                }
                Some((kind, arguments)) => ask.push(Question {
                    call: id,
                    tool: call.name,
                    kind,
                    arguments,
                }),
            }
        }
        Sorted { make, ask }
    }

    /// Lets the run wait for the answers. The caller has the run's turn, and keeps it until
    /// the run is no longer live.
    pub(crate) async fn await_input(&mut self, questions: Vec<Question>) -> Result<(), Stop> {
        let cancel = self.live.cancel_token().clone();
        // Before the events are taken: a run that fails now still has them.
        self.log.settle().await?;
        if cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let interrupts = self.interrupts(questions);
        let requested = self.run.await_input(&interrupts).map_err(|error| {
            tracing::error!(%error, "the run cannot wait");
            Stop::Failed(internal())
        })?;
        let mut bodies = std::mem::take(&mut self.pending);
        bodies.extend(requested);
        self.asked.extend_from_slice(&interrupts);
        self.log
            .append(bodies, Change::Awaits(interrupts.clone()))
            .await?;
        self.log.settle().await?;
        tracing::info!(interrupts = interrupts.len(), "the run waits for answers");
        let news = self.runner.bus.news();
        news.announce(&self.who, self.run.session_id);
        news.announce_interrupts(&self.who, &interrupts);
        // Whoever has stopped it meanwhile waits for its end.
        match cancel.is_cancelled() {
            true => Err(Stop::Cancelled),
            false => Ok(()),
        }
    }

    fn interrupts(&self, questions: Vec<Question>) -> Vec<Interrupt> {
        let at = now();
        // Those of one moment sort by chance, and shall sort as their calls do.
        let mut ids: Vec<_> = questions.iter().map(|_| InterruptId::new()).collect();
        ids.sort_unstable();
        let interrupt = |(question, id): (Question, InterruptId)| Interrupt {
            id,
            kind: question.kind,
            run_id: self.run.id,
            session_id: self.run.session_id,
            tool_call_id: question.call,
            tool: question.tool,
            arguments: question.arguments,
            created_at: at,
            expires_at: at + self.runner.limits.interrupt_expiry,
            resolution: None,
            question: None,
        };
        questions.into_iter().zip(ids).map(interrupt).collect()
    }

    /// What it waits for, closed because it ends.
    pub(crate) fn closed(&self, at: Timestamp) -> Vec<Interrupt> {
        let open = self.asked.iter().filter(|asked| asked.is_open());
        let closed = |interrupt: &Interrupt| Interrupt {
            resolution: Some(Resolved {
                resolution: Resolution::Closed,
                at,
            }),
            ..interrupt.clone()
        };
        open.map(closed).collect()
    }

    /// Takes in what the log tells of an interrupt.
    pub(crate) fn know(asked: &mut Vec<Interrupt>, event: &EventBody) {
        match event {
            EventBody::InterruptRequested { interrupt } => asked.push(Interrupt::clone(interrupt)),
            EventBody::InterruptResolved { interrupt } => {
                let known = asked.iter_mut().find(|known| known.id == interrupt.id);
                if let Some(known) = known {
                    known.clone_from(interrupt);
                }
            }
            _ => {}
        }
    }
}

/// What the model is told of a call that is not made by this server; none if it may be made.
fn result_of(call: ToolCallId, resolved: &Resolved) -> Option<ToolResult> {
    let text = match &resolved.resolution {
        Resolution::Approved { .. } => return None,
        Resolution::Rejected { reason } if reason.is_empty() => {
            "This call was rejected, and not made.".to_owned()
        }
        Resolution::Rejected { reason } => {
            format!("This call was rejected, and not made. The reason: {reason}")
        }
        Resolution::Result {
            text,
            is_error,
            truncated,
            is_json,
        } => {
            let data = is_json.then_some(ResultPart::Data { json: None });
            return Some(ToolResult {
                truncated: *truncated,
                parts: data.into_iter().collect(),
                ..ToolResult::of_text(call, text.clone(), *is_error)
            });
        }
        Resolution::Expired => {
            "Nobody answered in time: the request has expired, and the call was not made."
                .to_owned()
        }
        // They answer a question during the call, and not whether it is made.
        Resolution::Accepted { .. } | Resolution::Declined | Resolution::Dismissed => return None,
        Resolution::Closed => "This call was not made.".to_owned(),
    };
    Some(ToolResult::of_text(call, text, true))
}

fn too_often(call: ToolCallId) -> ToolResult {
    let told = "Somebody would have to be asked about this call, and this run has asked too \
                often: it was not made.";
    ToolResult::of_text(call, told, true)
}
