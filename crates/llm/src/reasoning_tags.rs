//! Separation of reasoning that is part of the text.
//!
//! Servers without a parser for reasoning send it as the model writes it, between tags at the
//! beginning of the text. The tags are those that models and front ends use (Open WebUI's
//! DEFAULT_REASONING_TAGS, vLLM's reasoning parsers). Templates of DeepSeek-R1, QwQ and others
//! write the opening tag themselves, so that only the closing one arrives
//! (<https://docs.vllm.ai/en/latest/features/reasoning_outputs.html>).

#[cfg(test)]
mod tests;

/// BodyStart and closing tags.
const TAGS: [(&str, &str); 11] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<Thought>", "</Thought>"),
    ("<reason>", "</reason>"),
    ("<reasoning>", "</reasoning>"),
    // Seed-OSS, Magistral, Kimi, and models trained on OpenThoughts.
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<antThinking>", "</antThinking>"),
];

/// The tag that may occur without an opening one.
const LONE_END: &str = "</think>";
const LONE_START: &str = "<think>";

/// The amount of white space before a tag that is held back, in bytes.
const MAX_BLANK_BYTES: usize = 1_024;

/// The length of text within which a lone closing tag is recognised, in bytes: longer than any
/// reasoning, shorter than the longest answers.
const WATCHED_BYTES: usize = 1_048_576;

/// The meaning of a piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Part of the answer.
    Text(String),
    /// Part of the reasoning.
    Reasoning(String),
    /// All text so far was reasoning.
    AllWasReasoning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only white space so far.
    Start,
    /// Between tags; this is the closing one.
    Inside(&'static str),
    /// Text, which may turn out to be reasoning without an opening tag.
    Watched,
    /// Text of the answer.
    Text,
}

/// Separates reasoning from text as it arrives.
#[derive(Debug)]
pub(super) struct Thinking {
    state: State,
    /// White space before a possible tag, or its beginning.
    held: String,
    /// True if reasoning precedes the held back text, whose white space then belongs to neither.
    after_tag: bool,
    /// True if the reasoning between tags has begun: white space before it is dropped.
    has_begun: bool,
    /// True if the text may turn out to be reasoning: nothing else precedes it.
    watches: bool,
    /// The amount of watched text, and its last character.
    watched: usize,
    last: Option<char>,
}

impl Default for Thinking {
    fn default() -> Self {
        Self {
            state: State::Start,
            held: String::new(),
            after_tag: false,
            has_begun: false,
            watches: true,
            watched: 0,
            last: None,
        }
    }
}

impl Thinking {
    /// Reads a piece of text.
    pub(super) fn read(&mut self, text: String, give: &mut impl FnMut(Said)) {
        let text = match self.held.is_empty() {
            true => text,
            false => std::mem::take(&mut self.held) + &text,
        };
        match self.state {
            State::Text => give_text(text, give),
            State::Start => self.start(text, give),
            State::Inside(end) => self.inside(text, end, give),
            State::Watched => self.watch(text, give),
        }
    }

    /// Ends the text before a call, reasoning or a signature: it belongs to the answer then.
    pub(super) fn interrupt(&mut self, give: &mut impl FnMut(Said)) {
        self.watches = false;
        if !self.held.is_empty() {
            self.flush(give);
        }
        if self.state == State::Watched {
            self.state = State::Text;
        }
    }

    /// Emits the held back text; white space alone is dropped.
    pub(super) fn flush(&mut self, give: &mut impl FnMut(Said)) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Start if held.trim().is_empty() => {}
            State::Start | State::Text => give_text(held, give),
            State::Inside(_) if held.trim().is_empty() => {}
            State::Inside(_) => give(Said::Reasoning(held)),
            // Nothing follows the tag.
            State::Watched if held == LONE_END => give(Said::AllWasReasoning),
            State::Watched => give_text(held, give),
        }
    }

    fn start(&mut self, text: String, give: &mut impl FnMut(Said)) {
        let trimmed = text.trim_start();
        if let Some((start, end)) = TAGS.iter().find(|(start, _)| trimmed.starts_with(start)) {
            let rest = trimmed[start.len()..].to_owned();
            (self.state, self.has_begun) = (State::Inside(end), false);
            return self.inside(rest, end, give);
        }
        let may_be_tag = TAGS.iter().any(|(start, _)| start.starts_with(trimmed));
        if may_be_tag && text.len() <= MAX_BLANK_BYTES {
            self.held = text;
            return;
        }
        if self.watches && !self.after_tag {
            self.state = State::Watched;
            return self.watch(text, give);
        }
        self.state = State::Text;
        match self.after_tag {
            true => give_text(trimmed.to_owned(), give),
            false => give_text(text, give),
        }
    }

    fn inside(&mut self, mut text: String, end: &'static str, give: &mut impl FnMut(Said)) {
        if !self.has_begun {
            text = text.trim_start().to_owned();
            self.has_begun = !text.is_empty();
        }
        if let Some(at) = text.find(end) {
            let rest = text[at + end.len()..].to_owned();
            let reasoning = text[..at].trim_end();
            if !reasoning.is_empty() {
                give(Said::Reasoning(reasoning.to_owned()));
            }
            // Another tag may follow.
            (self.state, self.after_tag) = (State::Start, true);
            return self.start(rest, give);
        }
        let without_tag = text.len() - begun(&text, end);
        let keep = text[..without_tag].trim_end().len();
        let keep = keep.max(without_tag.saturating_sub(MAX_BLANK_BYTES));
        self.held = text.split_off(text.floor_char_boundary(keep));
        if !text.is_empty() {
            give(Said::Reasoning(text));
        }
    }

    fn watch(&mut self, mut text: String, give: &mut impl FnMut(Said)) {
        // Most pieces contain no tag.
        if memchr::memchr(b'<', text.as_bytes()).is_none() {
            return self.give_watched(text, give);
        }
        let Some(at) = text.find(LONE_END) else {
            if text.contains(LONE_START) {
                self.state = State::Text;
                return give_text(text, give);
            }
            let keep = text.len() - begun(&text, LONE_END).max(begun(&text, LONE_START));
            self.held = text.split_off(keep);
            return self.give_watched(text, give);
        };
        let before = text[..at].chars().next_back().or(self.last);
        let rest = &text[at + LONE_END.len()..];
        let is_on_line = before == Some('\n') || rest.starts_with('\n');
        match is_on_line {
            _ if text[..at].contains(LONE_START) => {
                self.state = State::Text;
                give_text(text, give);
            }
            true => {
                let rest = rest.to_owned();
                text.truncate(text[..at].trim_end().len());
                give_text(text, give);
                give(Said::AllWasReasoning);
                (self.state, self.after_tag) = (State::Start, true);
                self.start(rest, give);
            }
            false if rest.is_empty() => {
                self.held = text.split_off(at);
                self.give_watched(text, give);
            }
            // The tag is only mentioned in the text.
            false => {
                self.state = State::Text;
                give_text(text, give);
            }
        }
    }

    fn give_watched(&mut self, text: String, give: &mut impl FnMut(Said)) {
        self.watched += text.len();
        self.last = text.chars().next_back().or(self.last);
        if self.watched > WATCHED_BYTES {
            self.state = State::Text;
            give_text(text + &std::mem::take(&mut self.held), give);
        } else {
            give_text(text, give);
        }
    }
}

fn give_text(text: String, give: &mut impl FnMut(Said)) {
    if !text.is_empty() {
        give(Said::Text(text));
    }
}

/// The number of bytes at the end of the text that may be the beginning of a tag.
fn begun(text: &str, tag: &str) -> usize {
    let longest = tag.len().saturating_sub(1).min(text.len());
    (1..=longest)
        .rev()
        .find(|len| {
            let at = text.len() - len;
            text.is_char_boundary(at) && tag.starts_with(&text[at..])
        })
        .unwrap_or(0)
}
