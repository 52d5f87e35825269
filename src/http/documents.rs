//! Parsed documents, kept: clients send the same few again and again, and parsing one costs
//! more than executing it.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::Request;
use async_graphql::parser::types::ExecutableDocument;

/// How much text one generation holds, in bytes. A document takes up to about a hundred
/// times as much once parsed: whatever strangers send, this is some 25 MB.
const GENERATION_BYTES: usize = 128 * 1024;

/// A longer document is parsed each time it comes.
const DOCUMENT_BYTES: usize = 16 * 1024;

/// The documents that came lately. Only parsed, not validated: that is done each time.
#[derive(Default)]
pub struct Documents(Mutex<Generations>);

/// What is used stays in the young generation or moves into it. Once that is full it becomes
/// the old one, and what the old one still had is forgotten.
#[derive(Default)]
struct Generations {
    young: HashMap<String, Arc<ExecutableDocument>>,
    old: HashMap<String, Arc<ExecutableDocument>>,
    young_bytes: usize,
}

impl Documents {
    /// Parses the request's document, or takes what came of it the last time. One that does
    /// not parse is left to the executor, which says why.
    pub(super) fn prepare(&self, request: &mut Request) {
        if request.query.len() > DOCUMENT_BYTES {
            return;
        }
        if let Some(known) = self.with(|documents| documents.find(&request.query)) {
            request.set_parsed_query(ExecutableDocument::clone(&known));
        } else if let Ok(parsed) = request.parsed_query() {
            let parsed = Arc::new(parsed.clone());
            self.with(|documents| documents.keep(request.query.clone(), parsed));
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generations {
    fn find(&mut self, text: &str) -> Option<Arc<ExecutableDocument>> {
        if let Some(known) = self.young.get(text) {
            return Some(Arc::clone(known));
        }
        let (text, known) = self.old.remove_entry(text)?;
        self.keep(text, Arc::clone(&known));
        Some(known)
    }

    fn keep(&mut self, text: String, document: Arc<ExecutableDocument>) {
        if self.young_bytes + text.len() > GENERATION_BYTES {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += text.len();
        self.young.insert(text, document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(documents: &Documents, text: &str) -> bool {
        documents.with(|documents| documents.find(text).is_some())
    }

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let documents = Documents::default();
        let send = |text: &str| documents.prepare(&mut Request::new(text));
        send("{ often }");
        send("{ once }");
        for n in 0..GENERATION_BYTES / 256 {
            send(&format!("{{ stranger{n:<1000} }}"));
            if n % 50 == 0 {
                send("{ often }");
            }
        }
        assert!(is_known(&documents, "{ often }"));
        assert!(!is_known(&documents, "{ once }"));
    }

    #[test]
    fn neither_faulty_nor_long_documents_are_kept() {
        let documents = Documents::default();
        let long = format!("{{ a }}{}", " ".repeat(DOCUMENT_BYTES));
        for text in ["{ a", "", &long] {
            documents.prepare(&mut Request::new(text));
            assert!(!is_known(&documents, text), "{text}");
        }
    }
}
