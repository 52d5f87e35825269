//! Sessions with thinking whose past changes: the date, the tools, the instructions, the agent,
//! the window and the account. The provider refuses what was signed for another past; nothing
//! that it would refuse is sent, and what it accepts is.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::clock;
use crate::support::process::{Process, program};
use crate::support::strict;
use crate::support::talk::{chat, string};
use crate::support::upstream::{Received, Upstream};

/// The session's agent, with these tools.
fn agent(tools: &str) -> String {
    format!(
        "name = \"first\"\ndescription = \"Talks.\"\n\
         instructions = \"You are the first. Today is {{{{ date }}}}.\"\n\
         tools = [{tools}]\nhandoffs = [\"second\"]\n"
    )
}

const SECOND: &str = "name = \"second\"\ndescription = \"Takes over.\"\n\
    instructions = \"You are the second. Today is {{ date }}.\"\ntools = [\"calculator\"]\n";

/// A turn in which the model calls a tool, and one in which it only talks.
const TURNS: [&str; 2] = [
    "Please\ncall calculator {\"expression\":\"1+1\"}",
    "How are you?",
];

const DAY_S: i64 = 86_400;

/// A provider's protocol and one of its models.
#[derive(Clone, Copy)]
struct Model {
    kind: &'static str,
    name: &'static str,
    /// The reasoning that went back with a request.
    sent: fn(&Received) -> usize,
}

/// How a server is started.
#[derive(Clone)]
struct Start {
    key: &'static str,
    window: &'static str,
    ahead_s: i64,
    tools: &'static str,
}

struct Session {
    upstream: Upstream,
    folder: tempfile::TempDir,
    model: Model,
    id: Option<String>,
}

impl Session {
    async fn new(model: Model) -> Self {
        Self {
            upstream: strict::start().await,
            folder: tempfile::tempdir().unwrap(),
            model,
            id: None,
        }
    }

    /// Starts a server, and has `times` pairs of turns.
    async fn talk(&mut self, start: &Start, times: usize) {
        let agents = self.folder.path().join("agents");
        std::fs::create_dir_all(&agents).unwrap();
        std::fs::write(agents.join("first.toml"), agent(start.tools)).unwrap();
        std::fs::write(agents.join("second.toml"), SECOND).unwrap();
        let process = self.serve(start, &agents).await;
        for text in TURNS.iter().cycle().take(times * TURNS.len()) {
            self.say(&process, text).await;
        }
        stop(process).await;
    }

    async fn serve(&self, start: &Start, agents: &Path) -> Process {
        let (agents, url) = (agents.display().to_string(), self.upstream.base_url());
        let model = format!("mine/{}", self.model.name);
        let settings = [
            ("agents.folder", agents.as_str()),
            ("agents.default", "first"),
            ("models.default", model.as_str()),
            ("models.providers.mine.kind", self.model.kind),
            ("models.providers.mine.base_url", url.as_str()),
            ("models.providers.mine.api_key", start.key),
            ("models.providers.mine.context_tokens", start.window),
            ("runs.max_output_tokens", "1000"),
        ];
        let mut command = program(self.folder.path(), &[], &settings);
        if start.ahead_s != 0 {
            clock::ahead(&mut command, self.folder.path(), start.ahead_s);
        }
        Process::serve(command).await
    }

    async fn say(&mut self, process: &Process, text: &str) {
        let answer = chat(&process.client(), self.id.as_deref(), text).await;
        let status = &answer["run"]["status"];
        assert_eq!(status, "COMPLETED", "{}: {answer}", self.model.name);
        self.id = Some(string(&answer["session"]["id"]));
    }

    /// The reasoning in the newest request.
    fn sent(&self) -> usize {
        (self.model.sent)(self.upstream.received().last().unwrap())
    }

    /// Nothing that was sent broke a rule about the past, not even once.
    fn check(&self) {
        let broken = strict::broken(&self.upstream);
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

async fn stop(mut process: Process) {
    process.terminate();
    assert_eq!(process.exit_code().await, Some(0));
}

fn count(values: &Value, is: impl Fn(&Value) -> bool + Copy) -> usize {
    match values {
        Value::Array(items) => items.iter().map(|item| count(item, is)).sum(),
        Value::Object(fields) if !is(values) => fields.values().map(|value| count(value, is)).sum(),
        value => usize::from(is(value)),
    }
}

fn thinking(request: &Received) -> usize {
    count(&request.body["messages"], |block| {
        block["type"] == "thinking"
    })
}

fn reasoning(request: &Received) -> usize {
    count(&request.body["input"], |item| item["type"] == "reasoning")
}

fn signatures(request: &Received) -> usize {
    let is_own = |signature: &Value| {
        let text = signature.as_str();
        text.is_some_and(|text| text != "skip_thought_signature_validator")
    };
    let native = count(&request.body["contents"], |part| {
        is_own(&part["thoughtSignature"])
    });
    let chat = |call: &Value| is_own(&call["extra_content"]["google"]["thought_signature"]);
    native + count(&request.body["messages"], chat)
}

const CLAUDE: Model = Model {
    kind: "anthropic",
    name: "claude-opus-5-5",
    sent: thinking,
};
const GPT: Model = Model {
    kind: "openai-responses",
    name: "gpt-6-luna",
    sent: reasoning,
};
const GEMINI: Model = Model {
    kind: "gemini",
    name: "gemini-4-argon",
    sent: signatures,
};
const GEMINI_OVER_CHAT: Model = Model {
    kind: "openai",
    name: "gemini-3.8-flash",
    sent: signatures,
};

/// Some twenty turns, of which each few have another past.
async fn outlives_its_past(model: Model) {
    let mut session = Session::new(model).await;
    let mut start = Start {
        key: "key-one",
        window: "100000",
        ahead_s: 0,
        tools: "\"calculator\"",
    };
    session.talk(&start, 3).await;
    let sent = session.sent();
    assert!(sent > 2, "{}: {sent} of the reasoning was sent", model.name);
    // The same past goes back whole after a restart.
    session.talk(&start, 1).await;
    assert!(session.sent() > sent, "{}", model.name);
    start.ahead_s = DAY_S;
    session.talk(&start, 1).await;
    start.tools = "\"calculator\", \"current_time\"";
    session.talk(&start, 1).await;
    start.key = "key-two";
    session.talk(&start, 1).await;
    assert!(session.sent() > 0, "{}", model.name);
    start.window = "2600";
    session.talk(&start, 2).await;
    // Another agent.
    let agents = session.folder.path().join("agents");
    let process = session.serve(&start, &agents).await;
    let hand_over = "call handoff_to_second {\"reason\":\"It is your turn.\"}";
    for text in [hand_over, TURNS[0], TURNS[1]] {
        session.say(&process, text).await;
    }
    stop(process).await;
    session.check();
}

#[tokio::test]
async fn thinking_outlives_its_past_with_claude() {
    outlives_its_past(CLAUDE).await;
}

#[tokio::test]
async fn reasoning_outlives_its_past_with_gpt() {
    outlives_its_past(GPT).await;
}

#[tokio::test]
async fn thoughts_outlive_their_past_with_gemini() {
    outlives_its_past(GEMINI).await;
}

#[tokio::test]
async fn thoughts_outlive_their_past_with_gemini_over_chat_completions() {
    outlives_its_past(GEMINI_OVER_CHAT).await;
}

/// Each model goes on with what another vendor's has begun.
#[tokio::test]
async fn models_take_over_from_each_other() {
    let mut session = Session::new(CLAUDE).await;
    let start = Start {
        key: "key-one",
        window: "100000",
        ahead_s: 0,
        tools: "\"calculator\"",
    };
    for model in [CLAUDE, GEMINI, GPT, GEMINI_OVER_CHAT, CLAUDE, GPT, GEMINI] {
        session.model = model;
        session.talk(&start, 1).await;
    }
    session.check();
}

/// What the date in the instructions was is known from the request: the test would otherwise
/// say nothing.
#[tokio::test]
async fn the_date_changes_with_the_clock() {
    let mut session = Session::new(CLAUDE).await;
    let mut start = Start {
        key: "key-one",
        window: "100000",
        ahead_s: 0,
        tools: "\"calculator\"",
    };
    session.talk(&start, 1).await;
    start.ahead_s = DAY_S;
    session.talk(&start, 1).await;
    let received = session.upstream.received();
    let system = |at: usize| received[at].body["system"].clone();
    assert_ne!(
        system(0),
        system(received.len() - 1),
        "{}",
        json!(system(0))
    );
    session.check();
}

/// A model with a budget for its thinking refuses to think where the calls that it answers have
/// none: those of another model, which has handed the conversation over.
#[tokio::test]
async fn a_budget_of_thinking_waits_for_the_next_turn() {
    let mut session = Session::new(GPT).await;
    let url = session.upstream.base_url();
    let agents = session.folder.path().join("agents");
    std::fs::create_dir_all(&agents).unwrap();
    std::fs::write(agents.join("first.toml"), agent("\"calculator\"")).unwrap();
    let second =
        format!("{SECOND}model = \"claude/claude-haiku-4-5\"\n[parameters]\nthinking = true\n");
    std::fs::write(agents.join("second.toml"), second).unwrap();
    let folder = agents.display().to_string();
    let settings = [
        ("agents.folder", folder.as_str()),
        ("agents.default", "first"),
        ("models.default", "mine/gpt-6-luna"),
        ("models.providers.mine.kind", GPT.kind),
        ("models.providers.mine.base_url", url.as_str()),
        ("models.providers.claude.kind", CLAUDE.kind),
        ("models.providers.claude.base_url", url.as_str()),
    ];
    let process = Process::serve(program(session.folder.path(), &[], &settings)).await;
    let hand_over = "call handoff_to_second {\"reason\":\"It is your turn.\"}";
    for text in [TURNS[1], hand_over, TURNS[0]] {
        session.say(&process, text).await;
    }
    stop(process).await;
    let received = session.upstream.received();
    let asked = received
        .iter()
        .filter(|one| one.line.ends_with("/messages"));
    let thinks: Vec<_> = asked
        .map(|one| one.body["thinking"]["type"] == "enabled")
        .collect();
    // Not with the results of the other's call, but from the next turn on.
    assert_eq!(thinks, [false, true, true]);
    session.check();
}
