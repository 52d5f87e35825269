//! The readable text of a page, from its tags one after the other.
//!
//! No tree is built: a page can be made such that a tree takes quadratic time or a stack
//! without end, and text needs none.

mod elements;
mod reader;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use url::Url;

use reader::Reader;

/// Below this, what a page marks as its main part is taken for a mistake, in bytes of text.
const MAIN_BYTES: usize = 200;

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
