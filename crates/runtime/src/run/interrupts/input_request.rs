//! Questions that the server of a tool asks during a call: interrupts of a run that goes on.
//!
//! The call holds a connection, so it stays in this process while the question is open. The
//! answer is written by whichever node takes it; this node reads it and hands it to the call.
//! After a crash the call is in doubt like any other, and its question is closed.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::run::context::Ending;
use crate::run::event_log::POLL;
use crate::run::event_log::{Change, LogError};
use crate::runner::Runner;
use talkgraph_domain::time::now;
use talkgraph_domain::{
    EventBody, Interrupt, InterruptId, InterruptKind, Principal, Resolution, Resolved, ToolCallId,
};
use talkgraph_tools::{Asked, InputAnswer};

/// A question that is asked about a call.
pub(crate) struct Open {
    interrupt: Interrupt,
    asked: Asked,
}

impl Ending {
    /// Tells of a question. None if the run has asked too often: it is declined then.
    pub(crate) async fn open_question(
        &mut self,
        call: ToolCallId,
        asked: Asked,
    ) -> Result<Option<Open>, LogError> {
        if self.asked.len() >= self.runner.limits.interrupts {
            // The call may have ended meanwhile.
            let _ = asked.answer.send(InputAnswer::Decline);
            return Ok(None);
        }
        let (tool, arguments) = self.called(call);
        let at = now();
        let interrupt = Interrupt {
            id: InterruptId::new(),
            kind: InterruptKind::InputRequest,
            run_id: self.run.id,
            session_id: self.run.session_id,
            tool_call_id: call,
            tool,
            arguments,
            created_at: at,
            expires_at: at + self.runner.limits.input_timeout,
            resolution: None,
            question: Some(asked.question.clone()),
        };
        self.log.settle().await?;
        let mut bodies = std::mem::take(&mut self.pending);
        bodies.push(EventBody::InterruptRequested {
            interrupt: Box::new(interrupt.clone()),
        });
        self.asked.push(interrupt.clone());
        let opens = Change::Awaits(vec![interrupt.clone()]);
        self.log.append(bodies, opens).await?;
        self.log.settle().await?;
        let news = self.runner.bus.news();
        news.announce(&self.who, self.run.session_id);
        news.announce_interrupts(&self.who, [&interrupt]);
        Ok(Some(Open { interrupt, asked }))
    }

    fn called(&self, call: ToolCallId) -> (String, Value) {
        let open = self.answer.open_calls().into_iter();
        let found = open.into_iter().find(|(id, ..)| *id == call);
        let (_, tool, arguments) = found.unwrap_or_else(|| (call, String::new(), String::new()));
        let arguments = serde_json::from_str(&arguments).unwrap_or_else(|_| json!({}));
        (tool, arguments)
    }

    /// Takes in that a question is closed.
    pub(crate) fn close_question(&mut self, closed: Interrupt) {
        let told = EventBody::InterruptResolved {
            interrupt: Box::new(closed),
        };
        Self::know(&mut self.asked, &told);
        self.pending.push(told);
    }

    /// Closes the questions of calls whose server has died.
    pub(crate) async fn close_lost_questions(&mut self) {
        let is_open = |one: &&Interrupt| one.kind == InterruptKind::InputRequest && one.is_open();
        let open: Vec<_> = self.asked.iter().filter(is_open).cloned().collect();
        for interrupt in open {
            let closed = self
                .runner
                .settled(&self.who, interrupt, Resolution::Closed)
                .await;
            self.close_question(closed);
        }
    }
}

impl Runner {
    /// Waits for the answer to a question, hands it to its call and gives the interrupt with it.
    pub(crate) async fn answer_of(self: Arc<Self>, who: Principal, open: Open) -> Interrupt {
        let Open {
            interrupt,
            mut asked,
        } = open;
        let mut news = self.bus.news().of_session(interrupt.session_id);
        let answered = loop {
            news.mark_unchanged();
            let found = self.store.interrupts_by_id(&who, &[interrupt.id]).await;
            if let Ok(found) = found {
                match found.into_iter().next() {
                    Some(one) if one.is_open() => {}
                    Some(one) => break one,
                    // Its session was deleted.
                    None => break resolved(interrupt, Resolution::Closed),
                }
            }
            let left = (interrupt.expires_at - now()).max(TimeDelta::zero());
            let left = left.to_std().unwrap_or_default();
            let over = tokio::select! {
                _ = news.changed() => None,
                () = sleep(POLL.min(left)) => left.is_zero().then_some(Resolution::Expired),
                () = asked.answer.closed() => Some(Resolution::Closed),
            };
            if let Some(over) = over {
                break self.settled(&who, interrupt, over).await;
            }
        };
        let answer = match answered.resolution.as_ref().map(|one| &one.resolution) {
            Some(Resolution::Accepted { content }) => InputAnswer::Accept(content.clone()),
            Some(Resolution::Declined | Resolution::Rejected { .. }) => InputAnswer::Decline,
            _ => InputAnswer::Dismiss,
        };
        // The call may have ended meanwhile.
        let _ = asked.answer.send(answer);
        answered
    }

    /// Resolves a question, unless it has an answer, and gives it as it is then.
    async fn settled(
        self: &Arc<Self>,
        who: &Principal,
        interrupt: Interrupt,
        resolution: Resolution,
    ) -> Interrupt {
        let (id, run) = (interrupt.id, interrupt.run_id);
        let answers = vec![(id, resolution.clone())];
        // Whatever comes of it, the interrupt is as the database has it.
        if let Err(error) = self.take_answers(who.clone(), run, answers).await {
            tracing::debug!(%run, %error, "a question was not closed");
        }
        let found = self.store.interrupts_by_id(who, &[id]).await;
        let found = found.ok().and_then(|found| found.into_iter().next());
        match found {
            Some(one) if !one.is_open() => one,
            _ => resolved(interrupt, resolution),
        }
    }
}

fn resolved(interrupt: Interrupt, resolution: Resolution) -> Interrupt {
    let at = now();
    Interrupt {
        resolution: Some(Resolved { resolution, at }),
        ..interrupt
    }
}
