//! Decoding of text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// The part of a page that may declare its encoding (HTML, section 4.2.5.4).
const PRESCAN_BYTES: usize = 1_024;

/// Decodes a body: by its byte order mark, its media type, or the page's own declaration, in this
/// order, else as UTF-8. Bytes that cannot be decoded become U+FFFD.
pub(super) fn decode<'a>(bytes: &'a [u8], content_type: &str) -> Cow<'a, str> {
    let declared = label(content_type)
        .and_then(|label| Encoding::for_label(label.as_bytes()))
        .or_else(|| in_page(bytes));
    // Finds the byte order mark by itself.
    let (text, _, _) = declared.unwrap_or(UTF_8).decode(bytes);
    text
}

fn in_page(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(PRESCAN_BYTES)];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let meta = head.split_once("<meta")?.1;
    let encoding = Encoding::for_label(label(meta)?.as_bytes())?;
    // A page whose bytes were read as ASCII cannot be UTF-16 (HTML, the same section).
    Some(encoding.output_encoding())
}

/// The value after the first `charset=`.
fn label(text: &str) -> Option<&str> {
    let (_, value) = text.split_once("charset=")?;
    let value = value.trim_start_matches(['"', '\'', ' ']);
    let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_:.".contains(c));
    Some(&value[..end.unwrap_or(value.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_counts() {
        for (bytes, content_type) in [
            ("Zürich".as_bytes(), "text/html"),
            (b"Z\xfcrich", "text/html; charset=ISO-8859-1"),
            (b"Z\xfcrich", "text/html;charset=\"windows-1252\""),
            (b"\xff\xfeZ\0\xfc\0r\0i\0c\0h\0", "text/plain"),
        ] {
            assert_eq!(decode(bytes, content_type), "Zürich", "{content_type}");
        }
        let page = b"<html><head><meta charset=\"iso-8859-1\"></head>Z\xfcrich";
        assert!(decode(page, "text/html").ends_with("Zürich"));
        assert_eq!(
            decode(b"Z\xfcrich", "text/html; charset=klingon"),
            "Z\u{fffd}rich"
        );
    }
}
