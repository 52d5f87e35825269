//! The program with the shipped agents, whose provider is strict.

#![allow(dead_code, reason = "no test program uses all of it")]

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::clock;
use crate::support::process::{Process, program};
use crate::support::strict;
use crate::support::talk::string;
use crate::support::upstream::Upstream;

const CHAT: &str = "mutation($input: ChatInput!) { chat(input: $input) {
    session { id } run { id status finishReason error { code message } }
    message { text data parts { __typename
        ... on ReasoningPart { text }
        ... on ToolCallPart { name arguments }
        ... on ToolResultPart { text isError } } } } }";

/// A day in seconds.
const DAY: i64 = 86_400;

/// One model behind a provider that is strict, and a folder that outlasts the program.
pub(crate) struct House {
    pub(crate) upstream: Upstream,
    pub(crate) model: &'static str,
    kind: &'static str,
    folder: TempDir,
}

impl House {
    /// A model of a provider of this kind.
    pub(crate) async fn of(kind: &'static str, model: &'static str) -> Self {
        Self {
            upstream: strict::start().await,
            model,
            kind,
            folder: TempDir::new().unwrap(),
        }
    }

    /// Starts the program, so many days ahead, with these settings too.
    pub(crate) async fn open(&self, days: i64, more: &[(&str, &str)]) -> Process {
        let base_url = self.upstream.base_url();
        let default = format!("mine/{}", self.model);
        let mut settings = vec![
            ("models.default", default.as_str()),
            ("models.providers.mine.kind", self.kind),
            ("models.providers.mine.base_url", base_url.as_str()),
            ("models.providers.mine.api_key", "sk-first-0123456789"),
        ];
        settings.extend(more);
        let mut command = program(self.folder.path(), &[], &settings);
        if days != 0 {
            clock::ahead(&mut command, self.folder.path(), days * DAY);
        }
        Process::serve(command).await
    }

    /// No request so far was refused, not even once to be repeated.
    pub(crate) fn check(&self) {
        let broken = strict::broken(&self.upstream);
        assert!(broken.is_empty(), "{}: {broken:#?}", self.model);
    }

    /// How much thinking the last request gave back.
    pub(crate) fn thinking_returned(&self) -> usize {
        let received = self.upstream.received();
        let body = &received.last().unwrap().body;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        match self.kind {
            "anthropic" => {
                let blocks = list(&body["messages"]);
                let blocks = blocks.iter().flat_map(|one| list(&one["content"]));
                blocks.filter(|one| one["type"] == "thinking").count()
            }
            "gemini" => {
                let parts = list(&body["contents"]);
                let parts = parts.iter().flat_map(|one| list(&one["parts"]));
                parts
                    .filter(|one| one["thoughtSignature"].is_string())
                    .count()
            }
            _ => {
                let items = list(&body["input"]);
                items
                    .iter()
                    .filter(|one| one["type"] == "reasoning")
                    .count()
            }
        }
    }
}

/// A chat: its session and what came of it.
pub(crate) struct Talk<'a> {
    house: &'a House,
    client: Client,
    agent: &'static str,
    session: Value,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(house: &'a House, process: &Process, agent: &'static str) -> Self {
        Self {
            house,
            client: process.client(),
            agent,
            session: Value::Null,
        }
    }

    /// Goes on with a server that has started again.
    pub(crate) fn at(&mut self, process: &Process) {
        self.client = self.client.at(&process.address);
    }

    /// Says something, with more in the input, and gives the message of the answer.
    pub(crate) async fn says(&mut self, text: &str, more: &Value) -> Value {
        let mut input = json!({ "message": { "text": text } });
        match &self.session {
            Value::Null => input["agent"] = self.agent.into(),
            session => input["sessionId"] = session.clone(),
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            match name.as_str() {
                "files" => input["message"]["files"] = value.clone(),
                name => input[name] = value.clone(),
            }
        }
        let data = self.client.data(CHAT, &json!({ "input": input })).await;
        let chat = &data["chat"];
        // First, because it says why a run has failed.
        self.house.check();
        assert_eq!(chat["run"]["status"], "COMPLETED", "{text}: {chat}");
        self.session = chat["session"]["id"].clone();
        chat["message"].clone()
    }
}

/// The texts of the results of tools in a message.
pub(crate) fn results(message: &Value) -> Vec<String> {
    let parts = message["parts"].as_array().unwrap().iter();
    let results = parts.filter(|part| part["__typename"] == "ToolResultPart");
    results.map(|part| string(&part["text"])).collect()
}
