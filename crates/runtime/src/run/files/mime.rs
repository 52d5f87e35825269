//! The type of a file.

use talkgraph_domain::file::usual_name;

/// The type of text without a more specific one.
const PLAIN_TEXT: &str = "text/plain";

/// Types that give no information.
const UNKNOWN: [&str; 4] = [
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-unknown",
    "application/unknown",
];

/// The MIME type of a content. A claimed type has to match the content; its parameters, such as
/// `charset`, are dropped, and an alias such as `image/jpg` becomes the usual name.
///
/// # Errors
/// A description of the mismatch.
pub fn mime_type(claimed: Option<&str>, content: &[u8]) -> Result<String, String> {
    let found = infer::get(content).map(|kind| usual_name(kind.mime_type()));
    let is_text = !content.contains(&0) && std::str::from_utf8(content).is_ok();
    let claimed = claimed.map(essence).transpose()?;
    let claimed = claimed.filter(|claimed| !UNKNOWN.contains(&claimed.as_str()));
    let Some(claimed) = claimed else {
        return match found {
            Some(found) => Ok(found.to_owned()),
            None if is_text => Ok(PLAIN_TEXT.to_owned()),
            None => Err("the content does not tell what it is; give `mimeType`".to_owned()),
        };
    };
    let says_text = claimed.starts_with("text/") || claimed == "application/json";
    let agrees = match found {
        Some(found) if found == claimed => true,
        // Magic bytes are easily found in text by chance.
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

/// A type without its parameters, under its usual name.
fn essence(claimed: &str) -> Result<String, String> {
    let (essence, _) = claimed.split_once(';').unwrap_or((claimed, ""));
    let essence = essence.trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        (1..=64).contains(&part.len()) && part.bytes().all(allowed)
    };
    let parts = essence.split_once('/');
    if !parts.is_some_and(|(kind, name)| is_token(kind) && is_token(name)) {
        return Err("this is no type such as image/png".to_owned());
    }
    Ok(usual_name(&essence).to_owned())
}

fn kind_of(mime_type: &str) -> &str {
    mime_type.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::mime_type;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\0\0\0";
    const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt ";

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
            (Some("image/png; a=b"), PNG, "image/png"),
            (
                Some("text/markdown; charset=utf-8"),
                b"# words",
                "text/markdown",
            ),
            (Some("text/json;charset=UTF-8"), b"{}", "application/json"),
            (Some("image/jpg"), JPEG, "image/jpeg"),
            (Some("IMAGE/PJPEG"), JPEG, "image/jpeg"),
            (Some("application/octet-stream"), JPEG, "image/jpeg"),
            (Some("binary/octet-stream"), b"words", "text/plain"),
            (Some("audio/x-wav"), WAV, "audio/wav"),
            (None, WAV, "audio/wav"),
            (Some("audio/mp3"), b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
            (Some("application/x-pdf"), b"%PDF-1.7 ", "application/pdf"),
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
            (Some("; charset=utf-8"), PNG),
            (Some("application/octet-stream"), b"\x00\x01\x02"),
            (Some("image/*"), PNG),
            (None, b"\x00\x01\x02"),
        ] {
            assert!(mime_type(claimed, content).is_err(), "{claimed:?}");
        }
    }
}
