//! Input types of files attached to a message.

use async_graphql::InputObject;
use data_url::{DataUrl, forgiving_base64};
use url::Url;

use crate::graphql::{ApiError, ApiLimits};
use talkgraph_domain::{File, FileId};
use talkgraph_runtime::{FileLink, SentFile, mime_type};

/// The maximum length of a file name, in characters.
const NAME_CHARS: usize = 255;
/// The maximum length of a URL, in bytes: the limit that servers commonly accept.
const URL_BYTES: usize = 8_192;

/// A file attached to a message. Give either `data` or `url`.
#[derive(InputObject)]
pub(crate) struct FileInput {
    /// The name, 1 to 255 printable characters, such as `invoice.pdf`.
    name: Option<String>,
    /// The media type, such as `image/png`; it must agree with the content. Parameters are dropped
    /// and aliases such as `image/jpg` are replaced by the usual name. Detected from the content if
    /// absent or `application/octet-stream`.
    mime_type: Option<String>,
    /// The content in Base64 (RFC 4648, section 4) or as a `data:` URL, whose media type applies if
    /// `mimeType` is absent. The request must also be within the server's limit on body size.
    /// Excludes `url`.
    data: Option<String>,
    /// The URL from which the server fetches the file once, before the message is stored: a public
    /// `https` or `http` URL without credentials, such as `https://example.com/invoice.pdf`, or a
    /// `data:` URL. Excludes `data`.
    url: Option<String>,
}

/// Omits the content.
impl std::fmt::Debug for FileInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileInput").finish_non_exhaustive()
    }
}

/// Reads the files of a message.
pub(super) fn check(files: Vec<FileInput>, limits: &ApiLimits) -> Result<Vec<SentFile>, ApiError> {
    if files.len() > limits.files {
        let most = limits.files;
        let why = format!("a message may have at most {most} files");
        return Err(ApiError::bad_input("input.message.files", why));
    }
    let numbered = files.into_iter().enumerate();
    numbered
        .map(|(at, file)| {
            let field = format!("input.message.files.{at}");
            let wrong =
                |(key, why): (&str, String)| ApiError::bad_input(&format!("{field}{key}"), why);
            file.check(limits.file_bytes).map_err(wrong)
        })
        .collect()
}

impl FileInput {
    /// Returns the file, or the invalid field with the reason.
    fn check(self, most_bytes: usize) -> Result<SentFile, (&'static str, String)> {
        if let Some(name) = &self.name
            && (name.trim().is_empty()
                || name.chars().count() > NAME_CHARS
                || name.contains(char::is_control))
        {
            let why = format!("the name must have 1 to {NAME_CHARS} printable characters");
            return Err((".name", why));
        }
        match (self.data, self.url) {
            (Some(data), None) => {
                inline_file(self.name, self.mime_type, &data, most_bytes).map(SentFile::Whole)
            }
            (None, Some(url)) if is_data_url(&url) => {
                let file = inline_file(self.name, self.mime_type, &url, most_bytes);
                // The content came in another field.
                let file = file.map_err(|(field, why)| match field {
                    ".data" => (".url", why),
                    field => (field, why),
                });
                file.map(SentFile::Whole)
            }
            (None, Some(url)) => {
                let url = read_url(&url).map_err(|why| (".url", why))?;
                Ok(SentFile::At(FileLink {
                    url,
                    name: self.name,
                    mime_type: self.mime_type,
                }))
            }
            _ => Err(("", "give either `data` or `url`".to_owned())),
        }
    }
}

fn inline_file(
    name: Option<String>,
    claimed: Option<String>,
    data: &str,
    most_bytes: usize,
) -> Result<File, (&'static str, String)> {
    let (content, found) = decoded(data).map_err(|why| (".data", why))?;
    let claimed = claimed.or(found);
    if content.is_empty() || content.len() > most_bytes {
        let has = content.len();
        let why = format!("the file has {has} bytes; 1 to {most_bytes} are allowed");
        return Err((".data", why));
    }
    let mime_type = mime_type(claimed.as_deref(), &content);
    Ok(File {
        id: FileId::new(),
        name,
        mime_type: mime_type.map_err(|why| (".mimeType", why))?,
        content: content.into(),
    })
}

/// Returns true for the beginning of a `data:` URL; Base64 has no colon.
fn is_data_url(text: &str) -> bool {
    let scheme = text.trim_start().get(.."data:".len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Decodes the content, and its media type if a URL has one.
fn decoded(data: &str) -> Result<(Vec<u8>, Option<String>), String> {
    if !is_data_url(data) {
        let content = forgiving_base64::decode_to_vec(data.as_bytes());
        return match content {
            Ok(content) => Ok((content, None)),
            Err(error) => Err(format!("invalid Base64: {error}")),
        };
    }
    let url = DataUrl::process(data.trim());
    let url = url.map_err(|error| format!("invalid data: URL: {error}"))?;
    let content = url.decode_to_vec();
    let (content, _) = content.map_err(|error| format!("invalid Base64: {error}"))?;
    let found = url.mime_type().to_string();
    // The default type of a URL without one.
    let found = (found != "text/plain;charset=US-ASCII").then_some(found);
    Ok((content, found))
}

fn read_url(url: &str) -> Result<Url, String> {
    if url.len() > URL_BYTES {
        return Err(format!("the URL must have at most {URL_BYTES} bytes"));
    }
    Url::parse(url.trim()).map_err(|error| format!("invalid URL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_base64_or_a_data_url() {
        let words = || b"words".to_vec();
        for (data, content, found) in [
            ("d29yZHM=", words(), None),
            ("d29y\nZHM", words(), None),
            (
                "data:text/markdown;base64,d29yZHM=",
                words(),
                Some("text/markdown"),
            ),
            ("DATA:image/png;base64,d29yZHM=", words(), Some("image/png")),
            ("data:;base64,d29yZHM=", words(), None),
            ("data:,two%20words", b"two words".to_vec(), None),
        ] {
            let found = found.map(str::to_owned);
            assert_eq!(decoded(data), Ok((content, found)), "{data}");
        }
        for data in [
            "d29y!",
            "data:image/png;base64,d29y!",
            "data:image/png;base64",
        ] {
            decoded(data).unwrap_err();
        }
    }
}
