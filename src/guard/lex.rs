//! The first check of a document: its length, its tokens and their nesting. After it, a recursive
//! parser is safe.

use std::borrow::Cow;

use apollo_parser::{Lexer, TokenKind};
use async_graphql::Pos;

use super::escapes::Rewritten;
use super::{GuardError, GuardLimits};

/// Checks a document. Returns it in a form that the parser accepts.
pub(super) fn check<'t>(text: &'t str, limits: &GuardLimits) -> Result<Cow<'t, str>, GuardError> {
    if text.len() > limits.query_bytes {
        return Err(GuardError::limit_exceeded(
            "bytes of query",
            limits.query_bytes,
        ));
    }
    // No character of GraphQL's source text (October 2021, section 2.1.1).
    if let Some(index) = memchr::memchr(0, text.as_bytes()) {
        return Err(GuardError::Syntax {
            message: "unexpected null character".to_owned(),
            positions: vec![position(text, index)],
        });
    }
    let mut rewritten = Rewritten::new(text);
    let mut tokens = 0;
    let mut nesting = 0_usize;
    for token in Lexer::new(text) {
        let token = token.map_err(|error| GuardError::Syntax {
            message: error.message().to_owned(),
            positions: vec![position(text, error.index())],
        })?;
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof => {
                continue;
            }
            TokenKind::LCurly | TokenKind::LBracket | TokenKind::LParen => nesting += 1,
            // The parser reports an unmatched closing bracket.
            TokenKind::RCurly | TokenKind::RBracket | TokenKind::RParen => {
                nesting = nesting.saturating_sub(1);
            }
            _ => {}
        }
        rewritten.read(&token);
        tokens += 1;
        if tokens > limits.query_tokens {
            return Err(GuardError::limit_exceeded("tokens", limits.query_tokens));
        }
        if nesting > limits.query_nesting {
            return Err(GuardError::limit_exceeded(
                "levels of nesting",
                limits.query_nesting,
            ));
        }
    }
    Ok(rewritten.finish())
}

/// Returns the line and column of a byte, counted from 1.
fn position(text: &str, index: usize) -> Pos {
    let before = text.get(..index).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Pos {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
