//! The translation of an agent and a history into a model request.

use std::sync::Arc;

use talkgraph_domain::{AgentSpec, Message, Part, Role, ToolCallId, ToolResult};
use talkgraph_llm::{ChatMessage, ChatRequest, ChatRole, Content, Reasoning, Sampling};

use crate::run::files::{self, FileContents};

/// A history as messages of a model request, from its first user message on.
#[derive(Default)]
pub(crate) struct Conversation {
    pub(crate) messages: Vec<Arc<ChatMessage>>,
    pub(crate) turns: Vec<Turn>,
}

/// The start of a turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Its index in the history.
    pub(crate) in_history: usize,
    /// Its index in the messages of the conversation.
    pub(crate) at: usize,
}

impl Conversation {
    pub(crate) fn new(history: &[Message], files: &FileContents) -> Self {
        let mut conversation = Self::default();
        let from_user = history
            .iter()
            .enumerate()
            .skip_while(|(_, message)| message.role != Role::User);
        for (in_history, message) in from_user {
            match message.role {
                Role::User => {
                    let content = files::user_content(&message.parts, files);
                    if content.is_empty() {
                        continue;
                    }
                    let at = conversation.messages.len();
                    conversation.turns.push(Turn { in_history, at });
                    let role = ChatRole::User;
                    conversation.push(ChatMessage { role, content });
                }
                Role::Assistant => assistant_messages(&message.parts, files)
                    .into_iter()
                    .for_each(|said| conversation.push(said)),
            }
        }
        conversation
    }

    fn push(&mut self, message: ChatMessage) {
        self.messages.push(Arc::new(message));
    }

    /// Removes the messages before a turn.
    pub(crate) fn begin_with(&mut self, turn: Turn) {
        self.messages.drain(..turn.at.min(self.messages.len()));
        self.turns.retain(|one| one.at >= turn.at);
        for one in &mut self.turns {
            one.at -= turn.at;
            one.in_history -= turn.in_history;
        }
    }

    /// The index of the newest turn.
    pub(crate) fn newest(&self) -> usize {
        self.turns.last().map_or(0, |turn| turn.at)
    }
}

/// The messages of an assistant message: text and calls, the results of the calls, the text after
/// them, and so on. Calls without a result are left out, because no provider accepts them. A result
/// is followed by its files that are in `files`.
pub(crate) fn assistant_messages(parts: &[Part], files: &FileContents) -> Vec<ChatMessage> {
    let mut messages: Vec<ChatMessage> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let (role, content) = match part {
            Part::Text { text } if text.is_empty() => continue,
            // The text has the same content, in the model's own words.
            // Assistant messages have no files of their own.
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
                    files::result_files::result_content(result, name, files),
                )
            }
        };
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(content),
            _ => messages.push(ChatMessage { role, content }),
        }
    }
    // Reasoning alone is no message.
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

/// A request with these messages, for any model.
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
        let spoken = assistant_messages(&parts, &FileContents::new());
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
        let none = FileContents::new();
        assert!(assistant_messages(std::slice::from_ref(&thought), &none).is_empty());
        assert_eq!(
            assistant_messages(&[thought, text("Yes.")], &none)[0]
                .content
                .len(),
            2
        );
    }
}
