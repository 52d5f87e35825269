//! What a file is.

/// What text is called that says nothing else of itself.
const PLAIN_TEXT: &str = "text/plain";

/// What a content is: it has to agree with what is claimed.
///
/// # Errors
/// With what is wrong.
pub fn mime_type(claimed: Option<&str>, content: &[u8]) -> Result<String, String> {
    let found = infer::get(content).map(|kind| kind.mime_type());
    let is_text = !content.contains(&0) && std::str::from_utf8(content).is_ok();
    let Some(claimed) = claimed else {
        return match found {
            Some(found) => Ok(found.to_owned()),
            None if is_text => Ok(PLAIN_TEXT.to_owned()),
            None => Err("the content does not tell what it is; give `mimeType`".to_owned()),
        };
    };
    let claimed = claimed.trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        (1..=64).contains(&part.len()) && part.bytes().all(allowed)
    };
    let parts = claimed.split_once('/');
    if !parts.is_some_and(|(kind, name)| is_token(kind) && is_token(name)) {
        return Err("this is no type such as image/png, without parameters".to_owned());
    }
    let says_text = claimed.starts_with("text/") || claimed == "application/json";
    let agrees = match found {
        Some(found) if found == claimed => true,
        // Marks in a text are easily taken for those of something else.
        _ if says_text => is_text,
        Some(found) => kind_of(found) == kind_of(&claimed) && kind_of(found) == "audio",
        None => false,
    };
    match (agrees, found) {
        (true, _) => Ok(claimed),
        (false, Some(found)) => Err(format!("the content is {found}, not {claimed}")),
        (false, None) => Err(format!("the content is not {claimed}")),
    }
}

fn kind_of(mime_type: &str) -> &str {
    mime_type.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::mime_type;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    #[test]
    fn a_content_agrees_with_what_is_claimed() {
        for (claimed, content, found) in [
            (None, PNG, "image/png"),
            (Some("image/png"), PNG, "image/png"),
            (Some("Image/PNG"), PNG, "image/png"),
            (None, b"%PDF-1.7 ".as_slice(), "application/pdf"),
            (None, b"words", "text/plain"),
            (Some("text/markdown"), b"# words", "text/markdown"),
            (Some("application/json"), b"{}", "application/json"),
        ] {
            assert_eq!(
                mime_type(claimed, content).as_deref(),
                Ok(found),
                "{claimed:?}"
            );
        }
        for (claimed, content) in [
            (Some("image/jpeg"), PNG),
            (Some("image/png"), b"words".as_slice()),
            (Some("text/plain"), PNG),
            (Some("text/plain"), b"\xff\xfe"),
            (Some("png"), PNG),
            (Some("image/png; a=b"), PNG),
            (Some("image/*"), PNG),
            (None, b"\x00\x01\x02"),
        ] {
            assert!(mime_type(claimed, content).is_err(), "{claimed:?}");
        }
    }
}
