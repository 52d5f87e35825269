//! The answer as of any event of its run, from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Mutex;

use talkgraph_domain::{MessageId, Part, Principal, RunEvent, RunId};
use talkgraph_store::{SharedStore, StoreError};

use crate::follow::run::Follow;
use crate::run::event_log::LOG_PAGE;
use crate::run::message_builder::MessageBuilder;

/// Reads a run's log once and forward, for callers that read the answer as of one event after
/// the other. While the run is live, its [`talkgraph_bus::LiveRun`] gives the text more cheaply.
pub struct Transcript {
    store: SharedStore,
    who: Principal,
    run: RunId,
    state: Mutex<State>,
}

struct State {
    answer: MessageBuilder,
    /// The sequence of the last applied event.
    sequence: u64,
    /// Events that are read and not applied.
    read: VecDeque<RunEvent>,
}

impl State {
    fn new() -> Self {
        Self {
            // No event has this id: no client sees it.
            answer: MessageBuilder::new(MessageId::new()),
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
        self.read_at(sequence, MessageBuilder::text).await
    }

    /// The answer's parts as of the event `sequence`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn parts_at(&self, sequence: u64) -> Result<Vec<Part>, StoreError> {
        self.read_at(sequence, |answer| answer.parts().to_vec())
            .await
    }

    async fn read_at<T>(
        &self,
        sequence: u64,
        read: impl Fn(&MessageBuilder) -> T,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock().await;
        if state.sequence > sequence {
            *state = State::new();
        }
        while state.sequence < sequence {
            if state.read.is_empty() {
                let more = self
                    .store
                    .events(&self.who, self.run, state.sequence, LOG_PAGE);
                state.read.extend(more.await?);
            }
            let is_next = |event: &mut RunEvent| event.sequence <= sequence;
            let Some(event) = state.read.pop_front_if(is_next) else {
                break;
            };
            state.answer.apply(&event);
            state.sequence = event.sequence;
        }
        Ok(read(&state.answer))
    }
}

impl Follow {
    /// The answer of a run of `who`, from its log.
    pub fn transcript(&self, who: Principal, run: RunId) -> Arc<Transcript> {
        Arc::new(Transcript {
            store: Arc::clone(&self.store),
            who,
            run,
            state: Mutex::new(State::new()),
        })
    }
}
