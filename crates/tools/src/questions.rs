//! Questions of a tool's server to the person during a call.

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use talkgraph_domain::InputQuestion;

/// The channel from a tool's server to the person whose run calls the tool.
#[derive(Debug, Clone)]
pub struct Asker(mpsc::Sender<Asked>);

/// A question that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub question: InputQuestion,
    /// The channel for the answer; closed once the question is no longer pending.
    pub answer: oneshot::Sender<InputAnswer>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputAnswer {
    /// The person answers with this content.
    Accept(Value),
    /// The person declines to answer.
    Decline,
    /// The person has dismissed the question, or did not answer in time.
    Dismiss,
}

impl Asker {
    /// Creates an asker and the channel of its questions, which come one at a time.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (questions, asked) = mpsc::channel(1);
        (Self(questions), asked)
    }

    /// Sends a question and waits for the answer. A question that cannot be sent is declined.
    pub async fn ask(&self, question: InputQuestion) -> InputAnswer {
        let (answer, answered) = oneshot::channel();
        match self.0.send(Asked { question, answer }).await {
            Ok(()) => answered.await.unwrap_or(InputAnswer::Dismiss),
            Err(_) => InputAnswer::Decline,
        }
    }
}
