//! The meaning of HTML's elements for the text of a page.

use html5ever::tokenizer::TokenSinkResult;
use html5ever::tokenizer::states::RawKind;

/// Elements that never contain readable text.
pub(super) const UNREADABLE: [&str; 11] = [
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas",
    "select", "head",
];

/// Elements around the main text of most pages.
pub(super) const SURROUNDINGS: [&str; 6] = ["nav", "header", "footer", "aside", "form", "dialog"];

/// Elements that begin and end a paragraph.
pub(super) const PARAGRAPHS: [&str; 22] = [
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

/// Elements that begin a line.
pub(super) const LINES: [&str; 6] = ["br", "tr", "dt", "dd", "summary", "option"];

/// Elements whose content the tokenizer must read as raw text (HTML, section 13.2.6.4).
pub(super) fn raw(name: &str) -> TokenSinkResult<()> {
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

pub(super) fn heading(name: &str) -> Option<usize> {
    let level = name.strip_prefix('h')?.parse().ok()?;
    (1..=6).contains(&level).then_some(level)
}
