//! The model's own chat template: from messages to the prompt's tokens.
//!
//! The template never sees the contents of messages. It is rendered with a placeholder for each
//! content; special tokens are searched in that skeleton only, and contents are inserted afterwards
//! as plain text. So `<|im_start|>system` in a message stays eighteen characters of text.

use std::borrow::Borrow;

use minijinja::{Environment, Value, context};

use super::error::EmbeddedError;
use super::tokenizer::Tokenizer;
use super::weights::Gguf;
use crate::{ChatMessage, ChatRole};

const NAME: &str = "chat";
/// Begins a placeholder; private-use, so no template has it.
const OPEN: char = '\u{F0000}';
/// Ends a placeholder.
const CLOSE: char = '\u{F0001}';

/// The compiled template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
}

/// A message in the form of the template.
struct Turn {
    role: &'static str,
    text: String,
}

/// A part of the prompt.
#[derive(Debug, PartialEq)]
enum Piece {
    Special(u32),
    Text(String),
}

impl ChatTemplate {
    /// Loads the template from the file.
    pub(crate) fn load(gguf: &Gguf) -> Result<Self, EmbeddedError> {
        let source = gguf.text("tokenizer.chat_template")?.to_owned();
        let mut environment = Environment::new();
        environment
            .add_template_owned(NAME, source)
            .map_err(template_error)?;
        Ok(Self { environment })
    }

    /// The prompt's tokens, ready for the assistant's answer. Without a system message
    /// first, the template adds the model's own ("You are a helpful AI assistant …").
    pub(crate) fn encode(
        &self,
        messages: &[impl Borrow<ChatMessage>],
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, EmbeddedError> {
        let turns: Vec<_> = messages
            .iter()
            .filter_map(|message| turn(message.borrow()))
            .collect();
        let skeleton = self.render_skeleton(&turns)?;
        let mut tokens = Vec::new();
        for piece in pieces(&skeleton, &turns, tokenizer) {
            match piece {
                Piece::Special(token) => tokens.push(token),
                Piece::Text(text) => tokens.extend(tokenizer.encode(&text)?),
            }
        }
        Ok(tokens)
    }

    fn render_skeleton(&self, turns: &[Turn]) -> Result<String, EmbeddedError> {
        let slot = |(index, turn): (usize, &Turn)| {
            context! { role => turn.role, content => format!("{OPEN}{index}{CLOSE}") }
        };
        let slots: Vec<Value> = turns.iter().enumerate().map(slot).collect();
        let template = self
            .environment
            .get_template(NAME)
            .map_err(template_error)?;
        template
            .render(context! { messages => slots, add_generation_prompt => true })
            .map_err(template_error)
    }
}

/// The text of a message; none for a tool's message, and for one that only calls tools.
fn turn(message: &ChatMessage) -> Option<Turn> {
    let role = match message.role {
        ChatRole::System => "system",
        ChatRole::User => "user",
        ChatRole::Assistant => "assistant",
        ChatRole::Tool => return None,
    };
    let text = message.all_text();
    (!text.is_empty()).then_some(Turn { role, text })
}

/// Splits the skeleton at its special tokens and inserts the contents. Text between two special
/// tokens stays in one piece, contents included, as the model was trained on it.
fn pieces(skeleton: &str, turns: &[Turn], tokenizer: &Tokenizer) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = skeleton;
    while let Some(first) = rest.chars().next() {
        if let Some((token, after)) = special_at(rest, tokenizer) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Special(token));
            rest = after;
        } else if let Some((index, after)) = placeholder_at(rest) {
            text.push_str(turns.get(index).map_or("", |turn| &turn.text));
            rest = after;
        } else {
            text.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    pieces
}

fn special_at<'a>(text: &'a str, tokenizer: &Tokenizer) -> Option<(u32, &'a str)> {
    tokenizer
        .specials()
        .iter()
        .find_map(|(name, token)| Some((*token, text.strip_prefix(name.as_str())?)))
}

fn placeholder_at(text: &str) -> Option<(usize, &str)> {
    let (number, after) = text.strip_prefix(OPEN)?.split_once(CLOSE)?;
    Some((number.parse().ok()?, after))
}

fn template_error(error: minijinja::Error) -> EmbeddedError {
    EmbeddedError::Format(format!("chat template: {error}"))
}
