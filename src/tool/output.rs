//! What a tool answers: text, within a size.

use serde_json::Value;

use super::ToolError;

/// What stands at the end of text that was cut, so that a model knows as well.
const CUT: &str = "\n[cut here: the output is longer]";

/// What a tool answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text, the mark of a cut included.
    pub text: String,
    /// Whether something was cut off.
    pub truncated: bool,
}

impl ToolOutput {
    /// All of it.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            truncated: false,
        }
    }

    /// The part of a response that a JSON Pointer names (RFC 6901): a text as it is, anything
    /// else as JSON.
    pub(crate) fn part_of(response: &Value, pointer: &str) -> Result<Self, ToolError> {
        match response.pointer(pointer) {
            Some(Value::String(text)) => Ok(Self::new(text.clone())),
            Some(value) => Ok(Self::new(value.to_string())),
            None => Err(ToolError::Failed(format!(
                "the response has nothing at {pointer}"
            ))),
        }
    }

    /// At most `limit` bytes of it. What is cut ends at a whole character and is marked; the
    /// mark itself comes within the limit, unless that is smaller than the mark.
    #[must_use]
    pub fn capped(self, limit: usize) -> Self {
        if self.text.len() <= limit {
            return self;
        }
        let mut text = self.text;
        text.truncate(text.floor_char_boundary(limit.saturating_sub(CUT.len())));
        text.push_str(CUT);
        Self {
            text,
            truncated: true,
        }
    }
}

/// At most `limit` bytes of a text, with `…` where it was cut.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_fits_is_whole() {
        let output = ToolOutput::new("äöü").capped(6);
        assert_eq!(output, ToolOutput::new("äöü"));
    }

    proptest! {
        #[test]
        fn what_is_cut_is_marked_and_small_enough(text in "\\PC{0,200}", limit in 40_usize..200) {
            let output = ToolOutput::new(text.clone()).capped(limit);
            prop_assert_eq!(output.truncated, text.len() > limit);
            prop_assert!(output.text.len() <= limit);
            if output.truncated {
                let kept = output.text.strip_suffix(CUT).unwrap();
                prop_assert!(text.starts_with(kept));
                // No more than one character fewer than would fit.
                prop_assert!(kept.len() + 4 > limit - CUT.len());
            }
        }
    }
}
