//! The model: what it says is a function of what it was asked, and of how often.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::sync::watch;

use crate::support::upstream::{Received, Script, Step, Upstream, chunk};
use crate::view::Part;
use crate::world::{Kind, World};

/// A provider that counts how often each question was put to it.
pub(crate) struct Model {
    upstream: Upstream,
    calls: Arc<Mutex<HashMap<String, u32>>>,
}

impl Model {
    pub(crate) async fn start(world: &Arc<World>) -> Self {
        let calls: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
        let (world, counted) = (Arc::clone(world), Arc::clone(&calls));
        let upstream = Upstream::answering(move |request| {
            let (prompt, shown) = asked(request);
            let call = {
                let mut calls = counted.lock().unwrap();
                let call = calls.entry(prompt.clone()).or_default();
                *call += 1;
                *call
            };
            world.count(Kind::Called);
            script(&prompt, shown, call)
        });
        Self {
            upstream: upstream.await,
            calls,
        }
    }

    pub(crate) fn base_url(&self) -> String {
        self.upstream.base_url()
    }

    /// How many answers were written to their end so far.
    pub(crate) fn written(&self) -> watch::Receiver<usize> {
        self.upstream.written()
    }

    /// How often a question was put.
    pub(crate) fn calls(&self, prompt: &str) -> u32 {
        self.calls.lock().unwrap().get(prompt).copied().unwrap_or(0)
    }

    /// How often any question was put.
    pub(crate) fn all_calls(&self) -> u32 {
        self.calls.lock().unwrap().values().sum()
    }
}

/// Between questions that are sent as one message, because the run of the first has no answer.
const BETWEEN: &str = "\n\n";

/// The last thing that the user said, and how many messages the model was shown.
fn asked(request: &Received) -> (String, usize) {
    let messages = request.body["messages"].as_array().unwrap();
    let text = |at: usize| messages[at]["content"].as_str().unwrap_or_default();
    let questions = |at: usize| match messages[at]["role"] == "user" {
        true => text(at).split(BETWEEN).count(),
        false => 1,
    };
    let prompt = text(messages.len() - 1).rsplit(BETWEEN).next().unwrap();
    (prompt.to_owned(), (0..messages.len()).map(questions).sum())
}

/// The answer when the question is put for the `call`th time with `shown` messages in all.
/// No two calls have a word in common, so an answer made of two of them shows.
pub(crate) fn answer(prompt: &str, shown: usize, call: u32) -> Vec<(Part, String)> {
    let mut rng = rng(prompt);
    let (thoughts, words) = (rng.usize(..12).saturating_sub(8), rng.usize(1..25));
    let word = |number: usize| {
        let part = if number < thoughts {
            Part::Reasoning
        } else {
            Part::Text
        };
        // More than ASCII, because texts are cut at bytes.
        (part, format!("{prompt}·{shown}·{call}·{number} "))
    };
    (0..thoughts + words).map(word).collect()
}

/// The text of an answer.
pub(crate) fn text(prompt: &str, shown: usize, call: u32) -> String {
    let words = answer(prompt, shown, call).into_iter();
    let words = words.filter(|(part, _)| *part == Part::Text);
    words.map(|(_, word)| word).collect()
}

/// Trickles: some milliseconds a word, sometimes a long moment before the first or the end.
fn script(prompt: &str, shown: usize, call: u32) -> Script {
    let mut rng = rng(&format!("{prompt} {call}"));
    let long = |rng: &mut Rng| match rng.u8(..4) {
        0 => Step::Pause(Duration::from_millis(rng.u64(20..60))),
        _ => Step::Pause(Duration::ZERO),
    };
    let slowest = rng.u64(1..10);
    let mut script = Script::stream().step(long(&mut rng));
    for (part, word) in answer(prompt, shown, call) {
        let field = match part {
            Part::Text => "content",
            Part::Reasoning => "reasoning_content",
        };
        let pause = Duration::from_millis(rng.u64(0..slowest));
        script = script
            .step(Step::Pause(pause))
            .event(chunk(&json!({ field: word })));
    }
    script.step(long(&mut rng)).ended()
}

fn rng(of: &str) -> Rng {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}
