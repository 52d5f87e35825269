//! Normalisation of a conversation to the form that every vendor and every chat template accepts:
//! two alternating roles, no message without content, no call without its result.
//!
//! Runs that fail, are cancelled or are cut to a window leave conversations of any form; for each
//! of these rules some server refuses a request that breaks it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{ChatMessage, ChatRole, Content};

/// Replaces a message of the person that has no content for the model.
const EMPTY_MESSAGE: &str = "(empty message)";
/// Replaces a beginning that is not shown.
const NO_BEGINNING: &str = "(The beginning of this conversation is not shown.)";
/// Replaces a missing answer.
const NO_ANSWER: &str = "(no answer)";
/// Replaces a result without any text. Anthropic refuses blank ones:
/// <https://github.com/NousResearch/hermes-agent/pull/41985>.
const EMPTY_RESULT: &str = "(empty result)";
/// Follows an answer with which a conversation must not end.
const GO_ON: &str = "Go on.";

/// The message that may follow the results of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterResults {
    /// A message of the person is allowed.
    Anything,
    /// An answer of the model is required. Mistral ("Unexpected role 'user' after role 'tool'",
    /// <https://github.com/avante-corp/avante.nvim/pull/2695>), the templates of many open models,
    /// and Gemini from 3.6 on, which refuses text next to results
    /// (<https://github.com/agentgateway/agentgateway/issues/2811>).
    Answer,
}

/// The conversation of a request, without its instructions.
pub(super) fn turns(
    messages: &[Arc<ChatMessage>],
    after_results: AfterResults,
) -> Vec<Arc<ChatMessage>> {
    let mut turns: Vec<Arc<ChatMessage>> = Vec::with_capacity(messages.len());
    let pairs = Pairs::of(messages);
    for (at, message) in messages.iter().enumerate() {
        let Some(message) = sayable(message, at, &pairs) else {
            continue;
        };
        match (turns.last_mut(), message.role) {
            (None, ChatRole::Assistant) => turns.push(said(ChatRole::User, NO_BEGINNING)),
            (Some(last), role) if last.role == role => {
                *last = Arc::new(joined(last, &message));
                continue;
            }
            (Some(last), ChatRole::User)
                if last.role == ChatRole::Tool && after_results == AfterResults::Answer =>
            {
                turns.push(said(ChatRole::Assistant, NO_ANSWER));
            }
            _ => {}
        }
        turns.push(message);
    }
    // No vendor continues an answer, and most refuse it.
    if turns
        .last()
        .is_some_and(|last| last.role == ChatRole::Assistant)
    {
        turns.push(said(ChatRole::User, GO_ON));
    }
    turns
}

fn said(role: ChatRole, text: &str) -> Arc<ChatMessage> {
    Arc::new(ChatMessage::text(role, text))
}

/// The positions of calls with a result and of results with a call: message and index.
#[derive(Default)]
struct Pairs(HashSet<(usize, usize)>);

impl Pairs {
    /// A result belongs to a call of the answer right before it.
    fn of(messages: &[Arc<ChatMessage>]) -> Self {
        let mut pairs = HashSet::new();
        let mut open = HashMap::new();
        let mut before = ChatRole::System;
        for (at, message) in messages.iter().enumerate() {
            match message.role {
                ChatRole::System => continue,
                ChatRole::Assistant if before == ChatRole::Assistant => {}
                ChatRole::User | ChatRole::Assistant => open.clear(),
                ChatRole::Tool => {}
            }
            before = message.role;
            for (place, content) in message.content.iter().enumerate() {
                match (message.role, content) {
                    (ChatRole::Assistant, Content::ToolCall { id, .. }) => {
                        open.insert(id.as_str(), (at, place));
                    }
                    (ChatRole::Tool, Content::ToolResult { call_id, .. }) => {
                        if let Some(call) = open.remove(call_id.as_str()) {
                            pairs.extend([call, (at, place)]);
                        }
                    }
                    _ => {}
                }
            }
        }
        Self(pairs)
    }

    fn has(&self, message: usize, place: usize) -> bool {
        self.0.contains(&(message, place))
    }
}

/// A message without content that its role cannot have; none if nothing is left of it.
fn sayable(message: &Arc<ChatMessage>, at: usize, pairs: &Pairs) -> Option<Arc<ChatMessage>> {
    let keeps = |(place, content): (usize, &Content)| match (message.role, content) {
        (ChatRole::User | ChatRole::Assistant, Content::Text(text)) => !is_blank(text),
        (ChatRole::User, Content::File { .. })
        | (ChatRole::Assistant, Content::Reasoning { .. }) => true,
        (ChatRole::Assistant, Content::ToolCall { .. })
        | (ChatRole::Tool, Content::ToolResult { .. }) => pairs.has(at, place),
        // The files of a result follow it.
        (ChatRole::Tool, Content::File { .. }) => {
            let before = message.content.get(..place).unwrap_or_default();
            let is_result = |content: &Content| matches!(content, Content::ToolResult { .. });
            let result = before.iter().rposition(is_result);
            result.is_some_and(|result| pairs.has(at, result))
        }
        _ => false,
    };
    let contents = || message.content.iter().enumerate();
    let is_thought = |content: &Content| matches!(content, Content::Reasoning { .. });
    let says = |one: (usize, &Content)| keeps(one) && !is_thought(one.1);
    if !contents().any(says) {
        return (message.role == ChatRole::User).then(|| said(ChatRole::User, EMPTY_MESSAGE));
    }
    if contents().all(|one| keeps(one) && !is_blank_result(one.1)) {
        return Some(Arc::clone(message));
    }
    let content = contents().filter(|one| keeps(*one));
    Some(Arc::new(ChatMessage {
        role: message.role,
        content: content
            .map(|(_, content)| with_text(content.clone()))
            .collect(),
    }))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn is_blank_result(content: &Content) -> bool {
    matches!(content, Content::ToolResult { text, .. } if is_blank(text))
}

fn with_text(mut content: Content) -> Content {
    if let Content::ToolResult { text, .. } = &mut content
        && is_blank(text)
    {
        EMPTY_RESULT.clone_into(text);
    }
    content
}

/// Two messages of one role as one. A text at the end of the first and one at the beginning of the
/// second become two paragraphs of one text: not every server accepts a list of texts.
fn joined(first: &ChatMessage, then: &ChatMessage) -> ChatMessage {
    let mut content = first.content.clone();
    let mut more = then.content.as_slice();
    if let (Some(Content::Text(last)), Some((Content::Text(next), rest))) =
        (content.last_mut(), more.split_first())
    {
        last.push_str("\n\n");
        last.push_str(next);
        more = rest;
    }
    content.extend_from_slice(more);
    ChatMessage {
        role: first.role,
        content,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{AfterResults, turns};
    use crate::samples::{call, file, reasoning, result, says};
    use crate::{ChatMessage, ChatRole, Content};

    fn settled(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
        let messages: Vec<_> = messages.into_iter().map(Arc::new).collect();
        let turns = turns(&messages, AfterResults::Answer);
        turns.iter().map(|turn| (**turn).clone()).collect()
    }

    fn user(text: &str) -> ChatMessage {
        ChatMessage::user(text)
    }

    fn assistant(text: &str) -> ChatMessage {
        ChatMessage::assistant(text)
    }

    #[test]
    fn valid_conversation_is_unchanged() {
        let messages = vec![
            user("Hello"),
            says(
                ChatRole::Assistant,
                vec![reasoning("Hm", None), call("a", "weather", "{}")],
            ),
            says(ChatRole::Tool, vec![result("a", "weather", "Sun", false)]),
            assistant("It is sunny."),
            user("Thanks"),
        ];
        assert_eq!(settled(messages.clone()), messages);
    }

    #[test]
    fn messages_of_one_role_become_one() {
        assert_eq!(
            settled(vec![user("One"), user("Two")]),
            [user("One\n\nTwo")]
        );
        let with_file = says(
            ChatRole::User,
            vec![
                file("image/png", None),
                Content::Text("What is it?".to_owned()),
            ],
        );
        let joined = says(
            ChatRole::User,
            vec![
                Content::Text("One".to_owned()),
                file("image/png", None),
                Content::Text("What is it?\n\nTwo".to_owned()),
            ],
        );
        assert_eq!(settled(vec![user("One"), with_file, user("Two")]), [joined]);
        let answers = vec![user("One"), assistant("A"), assistant("B"), user("Two")];
        let expected = [user("One"), assistant("A\n\nB"), user("Two")];
        assert_eq!(settled(answers), expected);
    }

    #[test]
    fn calls_and_results_are_pairs() {
        let step = says(
            ChatRole::Assistant,
            vec![call("a", "weather", "{}"), call("b", "time", "{}")],
        );
        let results = says(
            ChatRole::Tool,
            vec![
                result("b", "time", " \n", false),
                result("c", "x", "?", false),
            ],
        );
        let orphan = says(ChatRole::Tool, vec![result("a", "weather", "early", false)]);
        let expected = [
            user("Hello"),
            says(ChatRole::Assistant, vec![call("b", "time", "{}")]),
            says(
                ChatRole::Tool,
                vec![result("b", "time", "(empty result)", false)],
            ),
        ];
        let messages = vec![orphan, user("Hello"), step.clone(), results];
        // The early result does not count, and its call has no other.
        assert_eq!(settled(messages), expected);
        assert_eq!(
            settled(vec![user("Hello"), step, user("Still?")]),
            [user("Hello\n\nStill?")]
        );
    }

    #[test]
    fn conversation_begins_and_ends_with_the_person() {
        let thought = says(ChatRole::Assistant, vec![reasoning("Hm", Some("x:y"))]);
        let messages = vec![assistant("Hi"), thought, user(" "), assistant("  \n")];
        let expected = [
            user("(The beginning of this conversation is not shown.)"),
            assistant("Hi"),
            user("(empty message)"),
        ];
        assert_eq!(settled(messages), expected);
        let messages = vec![user("Hello"), assistant("Hi")];
        let expected = [user("Hello"), assistant("Hi"), user("Go on.")];
        assert_eq!(settled(messages), expected);
    }

    #[test]
    fn results_are_answered_where_they_must_be() {
        let step = says(ChatRole::Assistant, vec![call("a", "weather", "{}")]);
        let results = says(ChatRole::Tool, vec![result("a", "weather", "Sun", false)]);
        let messages = [user("One"), step, results, user("Two")];
        let roles = |after| {
            let messages: Vec<_> = messages.iter().cloned().map(Arc::new).collect();
            let turns = turns(&messages, after);
            turns.iter().map(|turn| turn.role).collect::<Vec<_>>()
        };
        let strict = [
            ChatRole::User,
            ChatRole::Assistant,
            ChatRole::Tool,
            ChatRole::Assistant,
            ChatRole::User,
        ];
        assert_eq!(roles(AfterResults::Answer), strict);
        let lax = [
            ChatRole::User,
            ChatRole::Assistant,
            ChatRole::Tool,
            ChatRole::User,
        ];
        assert_eq!(roles(AfterResults::Anything), lax);
    }

    fn any_message() -> impl Strategy<Value = ChatMessage> {
        let text = prop_oneof![Just(""), Just(" \n"), Just("words")];
        let id = prop_oneof![Just("a"), Just("b"), Just("c")];
        let content = prop_oneof![
            text.clone().prop_map(|text| Content::Text(text.to_owned())),
            Just(reasoning("Hm", None)),
            id.clone().prop_map(|id| call(id, "tool", "{}")),
            (id, text).prop_map(|(id, text)| result(id, "tool", text, false)),
            Just(file("image/png", None)),
        ];
        let role = prop_oneof![
            Just(ChatRole::System),
            Just(ChatRole::User),
            Just(ChatRole::Assistant),
            Just(ChatRole::Tool)
        ];
        let contents = prop::collection::vec(content, 0..4);
        (role, contents).prop_map(|(role, content)| ChatMessage { role, content })
    }

    proptest! {
        /// For any session, the sent messages alternate and have content.
        #[test]
        fn any_conversation_is_in_order(messages in prop::collection::vec(any_message(), 0..12)) {
            let turns = settled(messages);
            if let Some(last) = turns.last() {
                prop_assert_eq!(turns[0].role, ChatRole::User);
                prop_assert!(matches!(last.role, ChatRole::User | ChatRole::Tool));
            }
            for pair in turns.windows(2) {
                let allowed = match pair[0].role {
                    ChatRole::User | ChatRole::Tool => [ChatRole::Assistant].as_slice(),
                    _ => &[ChatRole::User, ChatRole::Tool],
                };
                prop_assert!(allowed.contains(&pair[1].role), "{:?}", pair);
            }
            for turn in &turns {
                let says = turn.content.iter().any(|content| match content {
                    Content::Text(text) | Content::ToolResult { text, .. } => !text.trim().is_empty(),
                    Content::Reasoning { .. } => false,
                    _ => true,
                });
                prop_assert!(says, "{:?}", turn);
            }
        }
    }
}
