//! From an agent and a session's history to what the model is asked.

use std::sync::Arc;

use talkgraph_domain::{AgentSpec, Message, Part, Role, ToolCallId, ToolResult};
use talkgraph_llm::{ChatMessage, ChatRequest, ChatRole, Content, Reasoning, Sampling};

use crate::run::files::{self, Contents};

/// A history as a model is shown it: from its first user message on.
#[derive(Default)]
pub(crate) struct Conversation {
    pub(crate) messages: Vec<Arc<ChatMessage>>,
    pub(crate) turns: Vec<Turn>,
}

/// Where a turn begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// In the history.
    pub(crate) in_history: usize,
    /// Among the conversation's messages.
    pub(crate) at: usize,
}

impl Conversation {
    pub(crate) fn new(history: &[Message], files: &Contents) -> Self {
        let mut conversation = Self::default();
        let from_user = history
            .iter()
            .enumerate()
            .skip_while(|(_, message)| message.role != Role::User);
        for (in_history, message) in from_user {
            match message.role {
                Role::User => {
                    let content = files::said(&message.parts, files);
                    if content.is_empty() {
                        continue;
                    }
                    let at = conversation.messages.len();
                    conversation.turns.push(Turn { in_history, at });
                    let role = ChatRole::User;
                    conversation.say(ChatMessage { role, content });
                }
                Role::Assistant => spoken(&message.parts, files)
                    .into_iter()
                    .for_each(|said| conversation.say(said)),
            }
        }
        conversation
    }

    fn say(&mut self, message: ChatMessage) {
        self.messages.push(Arc::new(message));
    }

    /// Drops what stands before a turn.
    pub(crate) fn begin_with(&mut self, turn: Turn) {
        self.messages.drain(..turn.at.min(self.messages.len()));
        self.turns.retain(|one| one.at >= turn.at);
        for one in &mut self.turns {
            one.at -= turn.at;
            one.in_history -= turn.in_history;
        }
    }

    /// Where the newest turn begins.
    pub(crate) fn newest(&self) -> usize {
        self.turns.last().map_or(0, |turn| turn.at)
    }
}

/// An answer as its model has to be shown it: what it said and called, the results of its
/// calls, what it said then, and so on. A call without a result is left out, because no
/// provider takes one. A result is followed by its files, as far as `files` has them.
pub(crate) fn spoken(parts: &[Part], files: &Contents) -> Vec<ChatMessage> {
    let mut messages: Vec<ChatMessage> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let (role, content) = match part {
            Part::Text { text } if text.is_empty() => continue,
            // The text says the same, in the model's own words.
            // Only people send files.
            Part::Data { .. } | Part::File { .. } => continue,
            Part::Text { text } => (ChatRole::Assistant, vec![Content::Text(text.clone())]),
            Part::Reasoning { text, signature } => (
                ChatRole::Assistant,
                vec![Content::Reasoning {
                    text: text.clone(),
                    signature: signature.clone(),
                }],
            ),
            Part::ToolCall {
                id,
                name,
                arguments,
            } => {
                if result_of(*id, parts).is_none() {
                    continue;
                }
                let call = Content::ToolCall {
                    id: id.to_string(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                };
                (ChatRole::Assistant, vec![call])
            }
            Part::ToolResult(result) => {
                let Some(name) = name_of(result.tool_call_id, parts.get(..at)) else {
                    continue;
                };
                (
                    ChatRole::Tool,
                    files::result_files::given(result, name, files),
                )
            }
        };
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(content),
            _ => messages.push(ChatMessage { role, content }),
        }
    }
    // Thoughts alone are no answer.
    messages.retain(|message| {
        let is_thought = |content: &Content| matches!(content, Content::Reasoning { .. });
        !message.content.iter().all(is_thought)
    });
    messages
}

fn result_of(call: ToolCallId, parts: &[Part]) -> Option<&ToolResult> {
    parts.iter().find_map(|part| match part {
        Part::ToolResult(result) if result.tool_call_id == call => Some(result),
        _ => None,
    })
}

fn name_of(call: ToolCallId, before: Option<&[Part]>) -> Option<String> {
    before?.iter().find_map(|part| match part {
        Part::ToolCall { id, name, .. } if *id == call => Some(name.clone()),
        _ => None,
    })
}

/// One model call with these messages; whichever model answers it.
pub(crate) fn request(
    spec: &AgentSpec,
    messages: Vec<Arc<ChatMessage>>,
    max_output_tokens: Option<u32>,
) -> ChatRequest {
    ChatRequest {
        sampling: Sampling {
            temperature: spec.parameters.temperature.map(|value| value as f32),
            top_p: spec.parameters.top_p.map(|value| value as f32),
            seed: spec.parameters.seed,
        },
        max_output_tokens,
        messages,
        reasoning: Reasoning {
            effort: spec.parameters.reasoning_effort,
            verbosity: spec.parameters.verbosity,
            thinking: spec.parameters.thinking,
            thinking_budget_tokens: spec.parameters.thinking_budget_tokens,
        },
        extra_body: Arc::new(spec.parameters.extra_body.clone()),
        ..ChatRequest::new(String::new(), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: ToolCallId, name: &str) -> Part {
        Part::ToolCall {
            id,
            name: name.into(),
            arguments: "{}".into(),
        }
    }

    fn result(id: ToolCallId) -> Part {
        Part::ToolResult(ToolResult::of_text(id, "done", false))
    }

    fn text(text: &str) -> Part {
        Part::Text { text: text.into() }
    }

    #[test]
    fn calls_stand_before_their_results_and_never_without() {
        let [a, b, cut] = [(); 3].map(|()| ToolCallId::new());
        let parts = [
            text("Let me see."),
            call(a, "one"),
            call(b, "two"),
            result(b),
            result(a),
            text("And now"),
            call(cut, "three"),
        ];
        let spoken = spoken(&parts, &Contents::new());
        let roles: Vec<_> = spoken.iter().map(|message| message.role).collect();
        assert_eq!(
            roles,
            [ChatRole::Assistant, ChatRole::Tool, ChatRole::Assistant]
        );
        let counts: Vec<_> = spoken.iter().map(|message| message.content.len()).collect();
        assert_eq!(counts, [3, 2, 1]);
        assert_eq!(spoken[2].all_text(), "And now");
    }

    #[test]
    fn thoughts_alone_are_left_out() {
        let thought = Part::Reasoning {
            text: "Hm.".into(),
            signature: None,
        };
        let none = Contents::new();
        assert!(spoken(std::slice::from_ref(&thought), &none).is_empty());
        assert_eq!(spoken(&[thought, text("Yes.")], &none)[0].content.len(), 2);
    }
}
