//! The model: its answer is a function of the question.

use std::time::Duration;

use crate::support::upstream::{Received, Script, Upstream};

/// The time between two words.
const PACE: Duration = Duration::from_millis(100);

/// The most words of an answer.
const WORDS: u64 = 60;

pub(crate) async fn start() -> Upstream {
    Upstream::answering(|request| Script::tokens(words(question(request))).paced(PACE)).await
}

fn question(request: &Received) -> &str {
    let messages = request.body["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap()
}

/// The words of the answer to a question, which begins with a number.
pub(crate) fn words(question: &str) -> Vec<String> {
    let seed: u64 = question.split(' ').next().unwrap().parse().unwrap();
    let count = 1 + seed % WORDS;
    (0..count).map(|word| format!("w{seed}·{word} ")).collect()
}
