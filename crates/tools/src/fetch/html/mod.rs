//! The readable text of a page, extracted tag by tag.
//!
//! No tree is built: a page can be crafted so that a tree takes quadratic time or an endless stack,
//! and text needs none.

mod elements;
mod reader;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use url::Url;

use reader::Reader;

/// The size below which the marked main part of a page is taken for a mistake, in bytes of text.
const MAIN_BYTES: usize = 200;

/// The readable part of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) text: String,
}

impl Page {
    /// Creates a page from plain text.
    pub(super) fn plain(text: String) -> Self {
        Self {
            title: String::new(),
            text,
        }
    }
}

/// Reads a page for at most `patience`; returns true as well if it was read only in part. Takes
/// what the page marks as its main part, else all but its surroundings, else everything.
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
