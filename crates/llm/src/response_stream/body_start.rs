//! The beginning of a body, kept for responses that turn out to be errors.

use serde_json::Value;

use crate::provider_error::ProviderError;

/// The part kept of a body until it proves to be an answer, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// The beginning of a body that nothing has been read from yet.
#[derive(Default)]
pub(super) struct BodyStart(Vec<u8>);

impl BodyStart {
    /// Keeps bytes of the body.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_BYTES.saturating_sub(self.0.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Drops the bytes: the body is an answer.
    pub(super) fn forget(&mut self) {
        self.0 = Vec::new();
    }

    /// The error that the body reports in place of an answer, independently of its status and type:
    /// JSON with an error, or a page for people. Anything else may be text of a model, which must
    /// not be logged.
    pub(super) fn fault(&self) -> Option<ProviderError> {
        let body = self.0.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.0);
        let body = body.trim_ascii();
        match body.first()? {
            b'<' => Some(ProviderError::of_body(body)),
            b'{' | b'[' => {
                let value: Value = serde_json::from_slice(body).ok()?;
                let value = value.get(0).unwrap_or(&value);
                let says = ["error", "detail", "message"];
                let is_error = says.iter().any(|key| value.get(key).is_some());
                is_error.then(|| ProviderError::of_body(body))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> Option<ProviderError> {
        let mut opening = BodyStart::default();
        body.as_bytes()
            .chunks(3)
            .for_each(|chunk| opening.keep(chunk));
        opening.fault()
    }

    #[test]
    fn errors_are_distinguished_from_answers() {
        let error = r#"{"error":{"message":"No.","code":"insufficient_quota"}}"#;
        assert_eq!(fault(error), Some(ProviderError::of_body(error.as_bytes())));
        for body in [
            r#"{"detail":"Not today"}"#,
            r#"{"statusCode":401,"message":"No"}"#,
        ] {
            assert!(fault(body).is_some(), "{body}");
        }
        assert!(fault(" <html><title>502 Bad Gateway</title>").is_some());
        for body in [
            "",
            "data: {}\n\n",
            "Hello!",
            r#"{"choices":[]}"#,
            "[1]",
            "{\"error\"",
        ] {
            assert_eq!(fault(body), None, "{body}");
        }
        let long = format!("<{}", "x".repeat(3 * MAX_BYTES));
        let mut opening = BodyStart::default();
        opening.keep(long.as_bytes());
        opening.keep(long.as_bytes());
        assert_eq!(opening.0.len(), MAX_BYTES);
        opening.forget();
        assert_eq!(opening.fault(), None);
    }
}
