//! The provider's error code and the invalid parameter, if they may be shown.

use std::fmt;

/// The longest identifier that is shown, in bytes.
const MAX_BYTES: usize = 64;

/// The identifiers of a refusal: plain words for programs, never a provider's own text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// The provider's code, such as `unsupported_value`.
    pub code: Option<Box<str>>,
    /// The path of the invalid parameter, such as `temperature`.
    pub parameter: Option<Box<str>>,
}

impl Named {
    /// The first of the codes that is an identifier, and the parameter if it is one.
    pub(crate) fn new(codes: &[&str], parameter: &str) -> Self {
        let code = codes.iter().find(|code| is_code(code));
        Self {
            code: code.map(|code| Box::from(*code)),
            parameter: is_identifier(parameter).then(|| Box::from(parameter)),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(parameter) = &self.parameter {
            write!(f, ", parameter {parameter}")?;
        }
        Ok(())
    }
}

/// Returns true for an identifier that is more than a repeated status.
fn is_code(text: &str) -> bool {
    is_identifier(text) && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns true for a text that starts with a letter and has letters, digits and `_ . - [ ]` alone.
fn is_identifier(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-[]".contains(&byte);
    text.len() <= MAX_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_shown_and_texts_are_not() {
        let shown = |codes: &[&str], parameter| Named::new(codes, parameter).to_string();
        assert_eq!(
            shown(
                &["unsupported_value", "invalid_request_error"],
                "tools[0].strict"
            ),
            ", code unsupported_value, parameter tools[0].strict"
        );
        assert_eq!(
            shown(&["400", "BadRequestError"], ""),
            ", code BadRequestError"
        );
        let long = "x".repeat(65);
        for text in ["", "sk 123", "a\nb", "wrong: 'Hi'", "<b>", "_x", &*long] {
            assert_eq!(shown(&[text], text), "", "{text}");
        }
    }
}
