//! Files that clients send with a message.

use async_graphql::InputObject;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use url::Url;

use crate::agent::{FileLink, SentFile, mime_type};
use crate::domain::{File, FileId};
use crate::graphql::{ApiError, ApiLimits};

/// The longest name of a file, in characters.
const NAME_CHARS: usize = 255;
/// The longest URL, in bytes: what servers commonly accept.
const URL_BYTES: usize = 8_192;

/// A file that comes with a message.
#[derive(InputObject)]
pub(crate) struct FileInput {
    /// Its name, 1 to 255 printable characters.
    name: Option<String>,
    /// What it is, such as `image/png`; its content must agree. Found out when absent.
    mime_type: Option<String>,
    /// Its content in Base64 (RFC 4648, section 4). The request has to be within the server's
    /// limit on bodies as well. Either this or `url`.
    data: Option<String>,
    /// Where the server fetches it, once, before the message is said: a public `https` or `http`
    /// URL, without credentials. Either this or `data`.
    url: Option<String>,
}

/// Without the content.
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
    /// The file, or the field that is wrong and why.
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
                whole(self.name, self.mime_type, &data, most_bytes).map(SentFile::Whole)
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

fn whole(
    name: Option<String>,
    claimed: Option<String>,
    data: &str,
    most_bytes: usize,
) -> Result<File, (&'static str, String)> {
    let content = STANDARD.decode(data);
    let content = content.map_err(|error| (".data", format!("this is no Base64: {error}")))?;
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

fn read_url(url: &str) -> Result<Url, String> {
    if url.len() > URL_BYTES {
        return Err(format!("the URL must have at most {URL_BYTES} bytes"));
    }
    Url::parse(url.trim()).map_err(|error| format!("this is no URL: {error}"))
}
