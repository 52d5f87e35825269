//! The answer as of any event of its run, from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;

use talkgraph_domain::{MessageId, Part, Principal, RunEvent, RunId};
use talkgraph_store::StoreError;

use crate::run::event_log::LOG_PAGE;
use crate::run::message_builder::Answer;
use crate::runner::Runner;

/// Reads a run's log once and forward, for one who asks for the answer as of one event after
/// the other. Where the run is live, its [`talkgraph_bus::LiveRun`] knows the text more cheaply.
pub struct Transcript {
    runner: Arc<Runner>,
    who: Principal,
    run: RunId,
    state: Mutex<State>,
}

struct State {
    answer: Answer,
    /// The last event that is in it.
    sequence: u64,
    /// What was read and comes after it.
    read: VecDeque<RunEvent>,
}

impl State {
    fn new() -> Self {
        Self {
            // No events are made of it, so nobody sees what it is called.
            answer: Answer::new(MessageId::new()),
            sequence: 0,
            read: VecDeque::new(),
        }
    }
}

impl Transcript {
    /// The answer's text as of the event `sequence`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn text_at(&self, sequence: u64) -> Result<String, StoreError> {
        self.at(sequence, Answer::text).await
    }

    /// The answer's parts as of the event `sequence`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn parts_at(&self, sequence: u64) -> Result<Vec<Part>, StoreError> {
        self.at(sequence, |answer| answer.parts().to_vec()).await
    }

    async fn at<T>(&self, sequence: u64, tell: impl Fn(&Answer) -> T) -> Result<T, StoreError> {
        let mut state = self.state.lock().await;
        if state.sequence > sequence {
            *state = State::new();
        }
        while state.sequence < sequence {
            if state.read.is_empty() {
                let (store, after) = (&self.runner.store, state.sequence);
                let more = store.events(&self.who, self.run, after, LOG_PAGE).await?;
                state.read.extend(more);
            }
            let is_next = |event: &mut RunEvent| event.sequence <= sequence;
            let Some(event) = state.read.pop_front_if(is_next) else {
                break;
            };
            state.answer.apply(&event);
            state.sequence = event.sequence;
        }
        Ok(tell(&state.answer))
    }
}

impl Runner {
    /// What the log of a run tells of its answer, for `who`, whose run it is.
    pub fn transcript(self: &Arc<Self>, who: Principal, run: RunId) -> Arc<Transcript> {
        Arc::new(Transcript {
            runner: Arc::clone(self),
            who,
            run,
            state: Mutex::new(State::new()),
        })
    }
}
