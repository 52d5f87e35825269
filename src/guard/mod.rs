//! What a GraphQL document may cost, decided before the executor sees it.
//!
//! A document is read in an order in which no step can be made expensive by what a later one
//! would have refused: its length, its tokens and their nesting, its grammar, then counts with
//! fragments expanded (each fragment is looked at once, however often it is spread). What
//! passes is kept, so that a document that comes again is neither lexed nor parsed.

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

/// What one request may contain.
#[derive(Debug, Clone)]
pub struct GuardLimits {
    /// The longest document, in bytes.
    pub query_bytes: usize,
    /// Tokens, without white space, commas and comments.
    pub query_tokens: usize,
    /// Brackets of all kinds inside each other: selections, lists, objects.
    pub query_nesting: usize,
    /// Fields inside each other, fragments expanded.
    pub query_depth: usize,
    /// Fields in all, fragments expanded.
    pub query_fields: usize,
    /// Fields at the top of one operation, fragments expanded.
    pub query_root_fields: usize,
    /// Aliases, fragments expanded.
    pub query_aliases: usize,
    /// Directives, fragments expanded.
    pub query_directives: usize,
    /// Fields, each times the sizes of the pages that it is in.
    pub query_complexity: u64,
    /// Lists and objects inside each other in the variables.
    pub variables_nesting: usize,
    /// Values in the variables, at all levels together.
    pub variables_values: usize,
    /// The largest response, in bytes; of a subscription, the largest event.
    pub response_bytes: usize,
}

/// A document that may be executed as far as its size goes.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) parsed: ExecutableDocument,
    /// Of the operation that has most of each.
    pub(crate) measured: Measured,
    /// Whether its complexity is more than its number of fields.
    has_pages: bool,
}

/// Reads documents and keeps what came lately.
pub struct Guard {
    limits: GuardLimits,
    pages: Pages,
    inputs: Inputs,
    documents: Generations<Arc<Document>>,
}

/// How much text one generation of kept documents holds, in bytes. A document takes up to
/// about a hundred times as much once parsed: whatever strangers send, this is some 25 MB.
const GENERATION_BYTES: usize = 128 * 1024;

/// A longer document is read again each time it comes.
const KEPT_DOCUMENT_BYTES: usize = 16 * 1024;

impl Guard {
    /// A guard with these limits, for a schema with these pages and input types.
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

    /// Reads a document, or takes what came of it the last time.
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

    /// Refuses variables that are not what the operation says.
    pub(crate) fn check_variables(
        &self,
        operation: &OperationDefinition,
        variables: &async_graphql::Variables,
    ) -> Result<(), GuardError> {
        self.inputs.check(operation, variables)
    }

    /// How complex an operation of a document is with these variables; refuses what is over
    /// the limit.
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
            return Err(GuardError::over("fields to resolve", most));
        }
        Ok(complexity)
    }
}

/// The operation that a request means; none when it is not clear.
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

/// Names of fields, for quick questions.
type Names = HashSet<String>;

#[cfg(test)]
mod tests;
