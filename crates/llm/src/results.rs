//! Files of tool results, for models that accept them there and for those that do not.

use std::sync::Arc;

use super::conversation::AfterResults;
use super::{ChatMessage, ChatRole, Content, FileData};

/// The result of a call with its files, which follow it in a tool message.
pub(super) struct Answered<'a> {
    pub(super) call_id: &'a str,
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) is_error: bool,
    pub(super) files: Vec<Attached<'a>>,
}

/// A file of a result.
pub(super) struct Attached<'a> {
    pub(super) media_type: &'a str,
    pub(super) data: &'a FileData,
    pub(super) name: Option<&'a str>,
}

/// The results of a tool message; none for other messages.
pub(super) fn answered(message: &ChatMessage) -> Vec<Answered<'_>> {
    let mut all = Vec::<Answered<'_>>::new();
    for part in &message.content {
        match part {
            Content::ToolResult {
                call_id,
                name,
                text,
                is_error,
            } => all.push(Answered {
                call_id,
                name,
                text,
                is_error: *is_error,
                files: Vec::new(),
            }),
            Content::File {
                media_type,
                data,
                name,
            } => {
                let file = Attached {
                    media_type,
                    data,
                    name: name.as_deref(),
                };
                if let Some(last) = all.last_mut() {
                    last.files.push(file);
                }
            }
            _ => {}
        }
    }
    all
}

/// The position of a tool's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Inside the result.
    Result,
    /// Inside a user message after the results.
    User,
    /// Nowhere: a text says that it is not shown.
    Nowhere,
}

/// The answer between results and their files, for models that require one.
const LOOKS: &str = "Let me look at the files.";

/// A conversation with each file of a tool's result at its position. No file makes a request fail:
/// it would fail again with each later message of the session.
pub(super) fn placed(
    turns: Vec<Arc<ChatMessage>>,
    after_results: AfterResults,
    place: impl Fn(&str) -> Place,
) -> Vec<Arc<ChatMessage>> {
    let moves = |message: &Arc<ChatMessage>| {
        let mut content = message.content.iter();
        message.role == ChatRole::Tool
            && content.any(|part| match part {
                Content::File { media_type, .. } => place(media_type) != Place::Result,
                _ => false,
            })
    };
    if !turns.iter().any(moves) {
        return turns;
    }
    let mut all = Vec::with_capacity(turns.len() + 2);
    for message in turns {
        if !moves(&message) {
            all.push(message);
            continue;
        }
        let (results, shown) = split(&message, &place);
        all.push(Arc::new(results));
        if let Some(shown) = shown {
            if after_results == AfterResults::Answer {
                all.push(Arc::new(ChatMessage::assistant(LOOKS)));
            }
            all.push(Arc::new(shown));
        }
    }
    all
}

/// The results, and the user message that contains their files.
fn split(
    message: &ChatMessage,
    place: &impl Fn(&str) -> Place,
) -> (ChatMessage, Option<ChatMessage>) {
    let (mut results, mut shown) = (Vec::<Content>::new(), Vec::new());
    let mut current = String::new();
    for part in &message.content {
        let media_type = match part {
            Content::File { media_type, .. } => media_type,
            part => {
                if let Content::ToolResult { name, .. } = part {
                    current.clone_from(name);
                }
                results.push(part.clone());
                continue;
            }
        };
        let note = match place(media_type) {
            Place::Result => {
                results.push(part.clone());
                continue;
            }
            Place::User => {
                let head = format!("[a file of the result of {current}, of type {media_type}:]");
                shown.push(Content::Text(head));
                shown.push(part.clone());
                format!("\n[the file of type {media_type} is in the next message]")
            }
            Place::Nowhere => format!("\n[the file of type {media_type} is not shown here]"),
        };
        let mut texts = results.iter_mut().rev().filter_map(|part| match part {
            Content::ToolResult { text, .. } => Some(text),
            _ => None,
        });
        if let Some(text) = texts.next() {
            text.push_str(&note);
        }
    }
    let role = ChatRole::Tool;
    let message = ChatMessage {
        role,
        content: results,
    };
    let shown = (!shown.is_empty()).then_some(ChatMessage {
        role: ChatRole::User,
        content: shown,
    });
    (message, shown)
}

/// Returns true for the images that every vendor accepts.
pub(super) fn is_common_image(media_type: &str) -> bool {
    matches!(
        media_type,
        "image/png" | "image/jpeg" | "image/gif" | "image/webp"
    )
}

/// Returns true for files that are sent as their text.
pub(super) fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type == "application/json"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{file, result, says};

    #[test]
    fn files_follow_their_results_or_are_described() {
        let tools = says(
            ChatRole::Tool,
            vec![
                result("1", "camera", "Here.", false),
                file("image/png", None),
                file("audio/ogg", None),
                result("2", "clock", "Noon.", false),
            ],
        );
        let messages = vec![Arc::new(ChatMessage::user("Look.")), Arc::new(tools)];
        let whole = placed(messages.clone(), AfterResults::Anything, |_| Place::Result);
        assert_eq!(whole, messages);
        assert_eq!(answered(&whole[1])[0].files.len(), 2);
        let place = |kind: &str| match kind {
            "image/png" => Place::User,
            _ => Place::Nowhere,
        };
        let strict = placed(messages.clone(), AfterResults::Answer, place);
        assert_eq!(strict[2].role, ChatRole::Assistant);
        let moved = placed(messages, AfterResults::Anything, place);
        assert_eq!(moved.len(), 3);
        let results = answered(&moved[1]);
        assert_eq!(
            results[0].text,
            "Here.\n[the file of type image/png is in the next message]\n\
             [the file of type audio/ogg is not shown here]"
        );
        assert_eq!(results[1].text, "Noon.");
        assert_eq!(moved[2].role, ChatRole::User);
        assert_eq!(moved[2].content.len(), 2);
    }
}
