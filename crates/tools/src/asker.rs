//! Questions that the server of a tool asks the person during a call.

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use talkgraph_domain::InputQuestion;

/// The way from the server of a tool to the person whose run calls it.
#[derive(Debug, Clone)]
pub struct Asker(mpsc::Sender<Asked>);

/// A question that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// The question.
    pub question: InputQuestion,
    /// Takes the answer; closed once no one waits for it.
    pub answer: oneshot::Sender<InputAnswer>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputAnswer {
    /// The person answers with this content.
    Accept(Value),
    /// The person does not want to answer.
    Decline,
    /// The person has dismissed the question, or did not answer in time.
    Dismiss,
}

impl Asker {
    /// An asker, and the questions that it asks, one at a time.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (questions, asked) = mpsc::channel(1);
        (Self(questions), asked)
    }

    /// Asks, and waits for the answer. If the question cannot be asked it is declined.
    pub async fn ask(&self, question: InputQuestion) -> InputAnswer {
        let (answer, answered) = oneshot::channel();
        match self.0.send(Asked { question, answer }).await {
            Ok(()) => answered.await.unwrap_or(InputAnswer::Dismiss),
            Err(_) => InputAnswer::Decline,
        }
    }
}
