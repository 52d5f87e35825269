//! Limits the cost of a GraphQL document before it is executed.
//!
//! The checks run in an order in which no step is made expensive by input that a later one would
//! refuse: length, tokens and nesting, grammar, then counts with fragments expanded (each fragment
//! is measured once, however often it is spread). Accepted documents are cached, so that a repeated
//! document is neither lexed nor parsed.

mod complexity;
mod error;
mod escapes;
mod generations;
mod inputs;
mod lex;
mod manifest;
mod measure;
mod persisted;
mod subscription;
mod variables;

use std::collections::HashSet;
use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition};

pub use complexity::Pages;
pub use error::GuardError;
pub use inputs::Inputs;
pub use manifest::{ManifestError, TrustedDocuments};
pub(crate) use persisted::Asked;
pub use persisted::{Persisted, PersistedError, Trust};
pub(crate) use subscription::has_one_field;
pub(crate) use variables::parse as parse_variables;

use generations::Generations;
use measure::Measured;

/// The limits of one request.
#[derive(Debug, Clone)]
pub struct GuardLimits {
    /// The maximum length of a document, in bytes.
    pub query_bytes: usize,
    /// The maximum number of tokens, without white space, commas and comments.
    pub query_tokens: usize,
    /// The maximum nesting of brackets of all kinds: selections, lists, objects.
    pub query_nesting: usize,
    /// The maximum nesting of fields, with fragments expanded.
    pub query_depth: usize,
    /// The maximum number of fields, with fragments expanded.
    pub query_fields: usize,
    /// The maximum number of top-level fields of one operation, with fragments expanded.
    pub query_root_fields: usize,
    /// The maximum number of aliases, with fragments expanded.
    pub query_aliases: usize,
    /// The maximum number of directives, with fragments expanded.
    pub query_directives: usize,
    /// The maximum number of fields, each multiplied by the sizes of the pages around it.
    pub query_complexity: u64,
    /// The maximum nesting of lists and objects in the variables.
    pub variables_nesting: usize,
    /// The maximum number of values in the variables, over all levels.
    pub variables_values: usize,
    /// The maximum size of a response, in bytes; in a subscription, of each event.
    pub response_bytes: usize,
}

/// A document whose size is within the limits.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) parsed: ExecutableDocument,
    /// The maximum of each measurement over the operations.
    pub(crate) measured: Measured,
    /// True if its complexity exceeds its number of fields.
    has_pages: bool,
}

/// Checks documents and caches recent ones.
pub struct Guard {
    limits: GuardLimits,
    pages: Pages,
    inputs: Inputs,
    documents: Generations<Arc<Document>>,
}

/// The amount of text that one generation of cached documents holds, in bytes. A parsed document
/// takes up to about a hundred times as much: at most some 25 MB.
const GENERATION_BYTES: usize = 128 * 1024;

/// The maximum length of a cached document; a longer one is parsed each time.
const KEPT_DOCUMENT_BYTES: usize = 16 * 1024;

impl Guard {
    /// Creates a guard with these limits, for a schema with these pages and input types.
    pub fn new(limits: GuardLimits, pages: Pages, inputs: Inputs) -> Self {
        Self {
            limits,
            pages,
            inputs,
            documents: Generations::new(GENERATION_BYTES),
        }
    }

    pub(crate) fn limits(&self) -> &GuardLimits {
        &self.limits
    }

    /// Checks a document, or returns its cached result.
    pub(crate) fn read(&self, text: &str) -> Result<Arc<Document>, GuardError> {
        if let Some(known) = self.documents.find(text) {
            return Ok(known);
        }
        let document = Arc::new(self.read_anew(text)?);
        if text.len() <= KEPT_DOCUMENT_BYTES {
            let kept = Arc::clone(&document);
            self.documents.keep(text.to_owned(), kept, text.len());
        }
        Ok(document)
    }

    fn read_anew(&self, text: &str) -> Result<Document, GuardError> {
        let text = lex::check(text, &self.limits)?;
        let mut parsed = parse_query(&text).map_err(GuardError::from)?;
        let measured = measure::check(&parsed, &self.limits)?;
        subscription::put_in_place(&mut parsed);
        let has_pages = self.pages.are_in(&parsed);
        Ok(Document {
            parsed,
            measured,
            has_pages,
        })
    }

    /// Rejects variables that do not match the operation's types.
    pub(crate) fn check_variables(
        &self,
        operation: &OperationDefinition,
        variables: &async_graphql::Variables,
    ) -> Result<(), GuardError> {
        self.inputs.check(operation, variables)
    }

    /// Computes the complexity of an operation with these variables; refuses it beyond the limit.
    pub(crate) fn complexity(
        &self,
        document: &Document,
        operation: &OperationDefinition,
        variables: &async_graphql::Variables,
    ) -> Result<u64, GuardError> {
        let complexity = match document.has_pages {
            true => self
                .pages
                .complexity(&document.parsed, operation, variables),
            false => document.measured.fields as u64,
        };
        let most = self.limits.query_complexity;
        if complexity > most {
            return Err(GuardError::limit_exceeded("fields to resolve", most));
        }
        Ok(complexity)
    }
}

/// Returns the operation that a request selects; `None` if it is ambiguous.
pub(crate) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    let mut operations = document.operations.iter();
    let found = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known == name)),
        None if operations.len() == 1 => operations.next(),
        None => None,
    };
    found.map(|(_, operation)| &operation.node)
}

/// Names of fields, for fast lookups.
type Names = HashSet<String>;

#[cfg(test)]
mod tests;
