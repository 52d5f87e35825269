//! Reads the tags of a page one after the other.

use std::cell::RefCell;
use std::time::Instant;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use url::Url;

use super::elements::{LINES, PARAGRAPHS, SURROUNDINGS, UNREADABLE, heading, raw};

/// The amount that is read between two checks of the clock, in bytes.
const PIECE_BYTES: usize = 16_384;

/// The longest link that is shown, in bytes.
const LINK_BYTES: usize = 500;

/// The longest title, in bytes.
const TITLE_BYTES: usize = 300;

/// The state of reading a page.
#[derive(Default)]
pub(super) struct Reader<'a> {
    base: Option<&'a Url>,
    with_surroundings: bool,
    pub(super) title: String,
    pub(super) out: String,
    /// The text within `main` and `article`.
    pub(super) main: String,
    main_depth: usize,
    /// The skipped element that contains the current position, and its nesting depth.
    skipped: Option<(String, usize)>,
    in_title: bool,
    in_pre: bool,
    link: Option<String>,
    /// White space that is written before the next word.
    space: Space,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    #[default]
    None,
    Word,
    Line,
    Paragraph,
}

struct Sink<'a>(RefCell<Reader<'a>>);

impl TokenSink for Sink<'_> {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut reader = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => return reader.tag(&tag),
            Token::CharacterTokens(text) => reader.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl<'a> Reader<'a> {
    pub(super) fn read(
        html: &str,
        base: &'a Url,
        with_surroundings: bool,
        deadline: Instant,
    ) -> (Self, bool) {
        let sink = Sink(RefCell::new(Self {
            base: Some(base),
            with_surroundings,
            ..Self::default()
        }));
        let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
        let (queue, mut rest, mut cut) = (BufferQueue::default(), html, false);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            queue.push_back(StrTendril::from(piece));
            let _ = tokenizer.feed(&queue);
            rest = after;
            if Instant::now() > deadline {
                cut = !rest.is_empty();
                break;
            }
        }
        tokenizer.end();
        let mut reader = tokenizer.sink.0.into_inner();
        let words: Vec<_> = reader.title.split_whitespace().collect();
        reader.title = words.join(" ");
        (reader, cut)
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        match tag.kind {
            TagKind::StartTag => {
                if !self.skips(name, tag) {
                    self.start(name, tag);
                }
                raw(name)
            }
            TagKind::EndTag => {
                self.end(name);
                TokenSinkResult::Continue
            }
        }
    }

    /// Returns true if a start tag is within, or begins, a skipped element.
    fn skips(&mut self, name: &str, tag: &Tag) -> bool {
        if let Some((skipped, depth)) = &mut self.skipped {
            if skipped == name && !tag.self_closing {
                *depth += 1;
            }
            // An unclosed head ends where the body begins; the title is needed.
            if skipped == "head" {
                if name == "body" {
                    self.skipped = None;
                }
                self.in_title = name == "title";
            }
            return true;
        }
        let surrounds = !self.with_surroundings && SURROUNDINGS.contains(&name);
        if surrounds || UNREADABLE.contains(&name) {
            if !tag.self_closing {
                self.skipped = Some((name.to_owned(), 1));
            }
            return true;
        }
        false
    }

    fn start(&mut self, name: &str, tag: &Tag) {
        self.break_for(name);
        match name {
            "title" => self.in_title = true,
            "main" | "article" => self.main_depth += 1,
            "pre" => self.in_pre = true,
            "li" => self.mark(Space::Line, "- "),
            "td" | "th" => self.mark(Space::Word, "| "),
            "img" => {
                if let Some(alt) = attribute(tag, "alt").filter(|alt| !alt.trim().is_empty()) {
                    self.words(&format!("[image: {}]", alt.trim()));
                }
            }
            "a" => self.link = attribute(tag, "href").and_then(|href| self.absolute(href)),
            _ => {
                if let Some(level) = heading(name) {
                    self.mark(Space::Paragraph, &format!("{} ", &"######"[..level]));
                }
            }
        }
    }

    fn end(&mut self, name: &str) {
        if name == "title" {
            self.in_title = false;
        }
        if let Some((skipped, depth)) = &mut self.skipped {
            if skipped == name {
                *depth -= 1;
                if *depth == 0 {
                    self.skipped = None;
                    self.space = self.space.max(Space::Line);
                }
            }
            return;
        }
        self.break_for(name);
        match name {
            "main" | "article" => self.main_depth = self.main_depth.saturating_sub(1),
            "pre" => self.in_pre = false,
            "a" => {
                if let Some(link) = self.link.take() {
                    self.push(&format!(" ({link})"));
                }
            }
            _ => {}
        }
    }

    fn break_for(&mut self, name: &str) {
        if PARAGRAPHS.contains(&name) {
            self.space = self.space.max(Space::Paragraph);
        } else if LINES.contains(&name) {
            self.space = self.space.max(Space::Line);
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_title {
            let room = TITLE_BYTES.saturating_sub(self.title.len());
            self.title += &text[..text.floor_char_boundary(room)];
        } else if self.skipped.is_some() {
        } else if self.in_pre {
            self.flush();
            self.push(text);
        } else {
            self.words(text);
        }
    }

    /// Writes text with its white space collapsed.
    fn words(&mut self, text: &str) {
        if text.starts_with(char::is_whitespace) {
            self.space = self.space.max(Space::Word);
        }
        for word in text.split_whitespace() {
            self.flush();
            self.push(word);
            self.space = Space::Word;
        }
        if !text.ends_with(char::is_whitespace) && !text.is_empty() {
            self.space = Space::None;
        }
    }

    /// Writes a mark of our own, such as the dash of a list's item.
    fn mark(&mut self, space: Space, mark: &str) {
        self.space = self.space.max(space);
        self.flush();
        self.push(mark);
    }

    fn flush(&mut self) {
        let space = match std::mem::take(&mut self.space) {
            Space::None => "",
            Space::Word => " ",
            Space::Line => "\n",
            Space::Paragraph => "\n\n",
        };
        let after_mark = self.out.ends_with([' ', '\n']) || self.out.is_empty();
        if space != " " || !after_mark {
            self.push(space);
        }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        if self.main_depth > 0 {
            self.main.push_str(text);
        }
    }

    fn absolute(&self, href: &str) -> Option<String> {
        let url = self.base?.join(href.trim()).ok()?;
        let is_link = matches!(url.scheme(), "http" | "https") && !href.starts_with('#');
        Some(url.to_string()).filter(|url| is_link && url.len() <= LINK_BYTES)
    }
}

fn attribute<'t>(tag: &'t Tag, name: &str) -> Option<&'t str> {
    let found = tag
        .attrs
        .iter()
        .find(|attribute| &*attribute.name.local == name);
    found.map(|attribute| &*attribute.value)
}
