//! What has to be true once everything is quiet.

use std::collections::{HashMap, HashSet};
use std::fmt;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::follower::Follower;
use crate::model::{self, Model};
use crate::speaker::{Talk, Turn};
use crate::support::talk::string;
use crate::trial::OnRestart;
use crate::view::{Part, View};
use crate::world::{Kind, World};

const RUN: &str = "query($id: ID!) { run(id: $id) {
    status lastSequence error { code } output { id text parts { __typename
      ... on TextPart { text } ... on ReasoningPart { text } } } } }";

const MESSAGES: &str = "query($id: ID!) { session(id: $id) { activeRun { id }
    messages(first: 100) { nodes { id role text } } } }";

/// What was looked at, in numbers.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    sessions: usize,
    pub(crate) runs: usize,
    completed: usize,
    failed: usize,
    cancelled: usize,
    calls: u32,
    restarts: usize,
    events: u64,
    distinct: usize,
    views: usize,
    reconnections: u64,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sessions; {} runs: {} completed, {} failed, {} cancelled; {} model calls, \
             {} restarts of steps; {} events checked ({} distinct) by {} subscribers, who \
             connected {} times",
            self.sessions,
            self.runs,
            self.completed,
            self.failed,
            self.cancelled,
            self.calls,
            self.restarts,
            self.events,
            self.distinct,
            self.views,
            self.reconnections,
        )
    }
}

pub(crate) struct Verdict<'a> {
    pub(crate) world: &'a std::sync::Arc<World>,
    pub(crate) model: &'a Model,
    pub(crate) on_restart: OnRestart,
    /// The runs that servers which have died were making alone.
    pub(crate) alone: HashSet<String>,
    pub(crate) rng: Rng,
}

impl Verdict<'_> {
    /// Looks at everything that was said, answered and seen.
    pub(crate) async fn of(mut self, talks: &[Talk]) -> Counted {
        let mut counted = Counted {
            sessions: talks.len(),
            calls: self.model.all_calls(),
            ..Counted::default()
        };
        for talk in talks {
            self.session(talk, &mut counted).await;
        }
        let seen = self.world.seen();
        let events = || seen.values().flat_map(|run| run.values());
        counted.distinct = events().count();
        let restarted = |event: &&Value| event["__typename"] == "StepRestarted";
        counted.restarts = events().filter(restarted).count();
        let counts = *self.world.counts().borrow();
        counted.events = counts.of(Kind::Seen);
        counted.reconnections = counts.of(Kind::Reconnected);
        counted
    }

    async fn ask(&mut self, document: &str, id: &str) -> Value {
        let variables = json!({ "id": id });
        self.world.ask(&mut self.rng, document, &variables).await
    }

    /// Every message is there, once, in order, and nothing else is.
    async fn session(&mut self, talk: &Talk, counted: &mut Counted) {
        let mut views: HashMap<&str, Vec<&View>> = HashMap::new();
        for view in &talk.views {
            views.entry(view.run()).or_default().push(view);
        }
        let mut expected: Vec<(&str, String)> = Vec::new();
        for turn in &talk.turns {
            // With the instructions and the question; an answer that had not got beyond its
            // reasoning is not shown.
            let said = expected.iter().filter(|(_, text)| !text.is_empty());
            let shown = said.count() + 2;
            expected.push(("USER", turn.prompt.clone()));
            let output = self.run(turn, shown, &views[turn.run.as_str()]).await;
            expected.extend(output.map(|text| ("ASSISTANT", text)));
            let end = views[turn.run.as_str()][0].end();
            match end {
                Some("RunCompleted") => counted.completed += 1,
                Some("RunFailed") => counted.failed += 1,
                _ => counted.cancelled += 1,
            }
        }
        let stored = self.ask(MESSAGES, &talk.session).await;
        let session = &stored["session"];
        assert_eq!(session["activeRun"], Value::Null, "{}", talk.session);
        let nodes = session["messages"]["nodes"].as_array().unwrap();
        let nodes = nodes.iter().map(|node| {
            let role = node["role"].as_str().unwrap();
            (role, string(&node["text"]))
        });
        assert_eq!(nodes.collect::<Vec<_>>(), expected, "{}", talk.session);
        counted.runs += talk.turns.len();
        counted.views += talk.views.len();
    }

    /// A run has ended as it was allowed to, and everybody has seen what is stored.
    /// The text of its answer.
    async fn run(&mut self, turn: &Turn, shown: usize, views: &[&View]) -> Option<String> {
        let stored = self.ask(RUN, &turn.run).await["run"].take();
        let shown_run = format!("{}: {stored}", turn.run);
        let output = &stored["output"];
        let text = output["text"].as_str();
        // As somebody sees it who comes when all is over.
        let late = View::from_the_start(&turn.run);
        let late = Follower::new(self.world, self.rng.fork(), late);
        let late = late.until_end().await;
        for view in views.iter().copied().chain([&late]) {
            let end = match stored["status"].as_str() {
                Some("COMPLETED") => "RunCompleted",
                Some("FAILED") => "RunFailed",
                Some("CANCELLED") => "RunCancelled",
                _ => panic!("it has not ended: {shown_run}"),
            };
            assert_eq!(view.end(), Some(end), "{shown_run}");
            assert_eq!(stored["lastSequence"], view.last(), "{shown_run}");
            if let Some(seen) = view.text() {
                assert_eq!(seen, text.unwrap_or(""), "{shown_run}");
            }
            if let Some(seen) = view.parts() {
                assert_eq!(seen, parts(&output["parts"]), "{shown_run}");
            }
        }
        self.check_end(turn, shown, &stored);
        text.map(str::to_owned)
    }

    fn check_end(&self, turn: &Turn, shown: usize, stored: &Value) {
        let status = stored["status"].as_str().unwrap();
        let said = turn.cancelled.as_deref();
        let shown_run = format!("{} ({said:?}): {stored}", turn.run);
        // What was told of it is still true.
        if let Some(told @ ("COMPLETED" | "FAILED" | "CANCELLED")) = said {
            assert_eq!(told, status, "{shown_run}");
        }
        let text = stored["output"]["text"].as_str().unwrap_or("");
        let calls = 1..=self.model.calls(&turn.prompt);
        let mut answers = calls.map(|call| model::text(&turn.prompt, shown, call));
        match status {
            "COMPLETED" => {
                // Whole, and of one call.
                assert!(answers.any(|answer| answer == text), "{shown_run}");
                return;
            }
            "CANCELLED" => assert!(said.is_some(), "{shown_run}"),
            _ if stored["error"]["code"] == "CRASHED" => {
                assert!(self.alone.contains(&turn.run), "{shown_run}");
            }
            _ => {
                assert_eq!(self.on_restart, OnRestart::Fail, "{shown_run}");
                assert_eq!(stored["error"]["code"], "INTERRUPTED", "{shown_run}");
            }
        }
        let is_begun = text.is_empty() || answers.any(|answer| answer.starts_with(text));
        assert!(is_begun, "{shown_run}");
    }
}

fn parts(stored: &Value) -> Vec<(Part, String)> {
    let part = |part: &Value| match part["__typename"].as_str() {
        Some("TextPart") => (Part::Text, string(&part["text"])),
        Some("ReasoningPart") => (Part::Reasoning, string(&part["text"])),
        _ => panic!("{part}"),
    };
    stored.as_array().into_iter().flatten().map(part).collect()
}
