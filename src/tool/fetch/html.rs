//! The readable text of a page, from its tags one after the other.
//!
//! No tree is built: a page can be made such that a tree takes quadratic time or a stack
//! without end, and text needs none.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use url::Url;

/// How much is read between two looks at the clock, in bytes.
const PIECE_BYTES: usize = 16_384;

/// Below this, what a page marks as its main part is taken for a mistake, in bytes of text.
const MAIN_BYTES: usize = 200;

/// The longest link that is shown, in bytes.
const LINK_BYTES: usize = 500;

/// The longest title, in bytes.
const TITLE_BYTES: usize = 300;

/// What never is text.
const UNREADABLE: [&str; 11] = [
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas",
    "select", "head",
];

/// What surrounds the text on most pages.
const SURROUNDINGS: [&str; 6] = ["nav", "header", "footer", "aside", "form", "dialog"];

/// What begins and ends a paragraph.
const PARAGRAPHS: [&str; 22] = [
    "p",
    "div",
    "section",
    "article",
    "main",
    "ul",
    "ol",
    "dl",
    "blockquote",
    "table",
    "figure",
    "figcaption",
    "pre",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "details",
    "address",
];

/// What begins a line.
const LINES: [&str; 6] = ["br", "tr", "dt", "dd", "summary", "option"];

/// What can be read of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) text: String,
}

impl Page {
    /// A page that is text already.
    pub(super) fn plain(text: String) -> Self {
        Self {
            title: String::new(),
            text,
        }
    }
}

/// Reads a page for at most `patience`; tells whether it was read only in part. Takes what
/// the page marks as its main part, else all but its surroundings, else everything.
pub(super) fn readable(html: &str, base: &Url, patience: Duration) -> (Page, bool) {
    let deadline = Instant::now() + patience;
    let (reader, cut) = Reader::read(html, base, false, deadline);
    let main = reader.main.trim();
    let text = match main.len() >= MAIN_BYTES {
        true => main.to_owned(),
        false => reader.out.trim().to_owned(),
    };
    if !text.is_empty() || cut {
        return (
            Page {
                title: reader.title,
                text,
            },
            cut,
        );
    }
    let (reader, cut) = Reader::read(html, base, true, deadline);
    let text = reader.out.trim().to_owned();
    (
        Page {
            title: reader.title,
            text,
        },
        cut,
    )
}

/// What is read, and where in the page the reading is.
#[derive(Default)]
struct Reader<'a> {
    base: Option<&'a Url>,
    with_surroundings: bool,
    title: String,
    out: String,
    /// The text within `main` and `article`.
    main: String,
    main_depth: usize,
    /// The element that is being left out, and how often it is inside itself.
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
    fn read(html: &str, base: &'a Url, with_surroundings: bool, deadline: Instant) -> (Self, bool) {
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

    /// Whether a start tag is within, or begins, something that is left out.
    fn skips(&mut self, name: &str, tag: &Tag) -> bool {
        if let Some((skipped, depth)) = &mut self.skipped {
            if skipped == name && !tag.self_closing {
                *depth += 1;
            }
            // A head that is not closed ends where the body begins; the title is wanted.
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

/// What the tokenizer must read as text alone (HTML, section 13.2.6.4).
fn raw(name: &str) -> TokenSinkResult<()> {
    match name {
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        "style" | "iframe" | "xmp" | "noembed" | "noframes" | "noscript" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => TokenSinkResult::Continue,
    }
}

fn heading(name: &str) -> Option<usize> {
    let level = name.strip_prefix('h')?.parse().ok()?;
    (1..=6).contains(&level).then_some(level)
}

fn attribute<'t>(tag: &'t Tag, name: &str) -> Option<&'t str> {
    let found = tag
        .attrs
        .iter()
        .find(|attribute| &*attribute.name.local == name);
    found.map(|attribute| &*attribute.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> Page {
        let base = Url::parse("https://example.com/blog/").unwrap();
        readable(html, &base, Duration::from_secs(5)).0
    }

    #[test]
    fn a_page_becomes_its_text() {
        let page = read(
            "<!doctype html><html><head><title>Cats &amp;\n dogs</title>\
             <style>p { color: red }</style><script>if (1 < 2) alert('<p>no</p>')</script></head>\
             <body><nav><a href='/'>Home</a></nav><h1>Cats</h1>\
             <p>A <b>cat</b> is\n  not a <a href=\"dog.html\">dog</a>.</p>\
             <ul><li>one</li><li>two <i>three</i></li></ul>\
             <table><tr><th>a</th><td>1</td></tr><tr><th>b</th><td>2</td></tr></table>\
             <pre>x = 1\n  y = 2</pre><p>fish<br>chips</p><img alt='A cat' src=x>\
             <p><a href='#top'>up</a> <a href='javascript:void(0)'>no</a></p>\
             <footer>Imprint</footer></body></html>",
        );
        assert_eq!(page.title, "Cats & dogs");
        insta::assert_snapshot!(page.text, @r"
        # Cats

        A cat is not a dog (https://example.com/blog/dog.html).

        - one
        - two three

        | a | 1
        | b | 2

        x = 1
          y = 2

        fish
        chips

        [image: A cat]

        up no
        ");
    }

    #[test]
    fn the_main_part_is_taken() {
        let main = "word ".repeat(100);
        let page = read(&format!(
            "<title>t</title><div>Menu</div><main><p>{main}</p></main><div>More</div>"
        ));
        assert_eq!(page.text, main.trim());
        let page = read("<div>Menu</div><main>Short</main><div>More</div>");
        assert_eq!(page.text, "Menu\n\nShort\n\nMore");
    }

    #[test]
    fn surroundings_alone_are_better_than_nothing() {
        assert_eq!(read("<nav>One <p>Two</nav>").text, "One\n\nTwo");
        assert_eq!(
            read("<header>Never closed <p>Text").text,
            "Never closed\n\nText"
        );
        assert_eq!(read("").text, "");
    }

    #[test]
    fn whatever_comes_ends() {
        let many = 200_000;
        for html in [
            "<div>".repeat(many),
            "<b>".repeat(many),
            "<table><tr><td>".repeat(many / 4),
            "<a href=x>".repeat(many / 4),
            "<".repeat(many),
            "&".repeat(many),
            "<!--".repeat(many),
            "<svg><script>".to_owned(),
            format!("<p {}>x", "a=b ".repeat(many)),
        ] {
            read(&html);
        }
    }

    #[test]
    fn time_is_bounded() {
        let base = Url::parse("https://example.com/").unwrap();
        let html = format!("<p>begin</p>{}", "<p>more</p>".repeat(10_000));
        let (page, cut) = readable(&html, &base, Duration::ZERO);
        assert!(cut);
        assert!(page.text.starts_with("begin"));
    }
}
