//! `http_fetch`: the readable text of a page.

mod file;
mod html;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use super::egress::{Body, BodyLimits, EgressClient, content_type};
use super::{Tool, ToolContext, ToolError, ToolOutput};
pub use file::{Fetched, FileFetch};
use html::Page;

/// The longest URL, in bytes: what servers commonly accept.
const URL_BYTES: usize = 8_192;

/// The time limit for reading a page; the text found by then is used. Markup can be crafted to take
/// long.
const READING: Duration = Duration::from_secs(2);

const WANTED: &str =
    "text/html, text/markdown, text/plain;q=0.9, application/json;q=0.9, */*;q=0.1";

/// Fetches pages for a model.
pub struct HttpFetch {
    client: EgressClient,
    limits: BodyLimits,
    /// Pages that are read at the same time: one core is left for everything else.
    readers: Semaphore,
}

#[derive(Deserialize)]
struct Arguments {
    url: String,
}

/// The kind of a body, as far as text is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Text,
}

impl HttpFetch {
    /// The tool's name.
    pub const NAME: &str = "http_fetch";

    /// The tool's description for models.
    pub const DESCRIPTION: &str = "Fetches a public web page by its URL and gives its readable \
        text, with links. Also reads plain text, Markdown, JSON and XML. Long pages are cut. \
        Structured sources, with + between the WORDS of a query: \
        https://en.wikipedia.org/w/rest.php/v1/search/page?limit=5&q=WORDS finds articles, \
        https://en.wikipedia.org/api/rest_v1/page/summary/TITLE sums one up, \
        https://api.crossref.org/works?rows=5&select=DOI,title,author,issued&query=WORDS finds \
        papers, https://api.github.com/repos/OWNER/NAME/releases?per_page=5 lists releases.";

    /// Reads at most `bytes` of a page as sent, and `decoded_bytes` once decompressed.
    pub fn new(client: EgressClient, bytes: usize, decoded_bytes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            client,
            limits: BodyLimits {
                bytes,
                decoded_bytes,
            },
            readers: Semaphore::new(cores.saturating_sub(1).max(1)),
        }
    }

    /// The JSON Schema of its arguments.
    pub fn parameters() -> Value {
        json!({
            "type": "object",
            "properties": {
                "url": {
                    "type": "string",
                    "description": "The URL, which begins with https:// or http://.",
                    "minLength": 1,
                    "maxLength": URL_BYTES,
                },
            },
            "required": ["url"],
            "additionalProperties": false,
        })
    }
}

#[async_trait]
impl Tool for HttpFetch {
    async fn call(&self, _: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let Arguments { url } = serde_json::from_value(arguments).map_err(ToolError::internal)?;
        let url = Url::parse(url.trim())
            .map_err(|error| ToolError::Failed(format!("this is no URL: {error}")))?;
        let response = get(&self.client, url, WANTED).await?;
        let (url, kind) = (response.url().clone(), kind(&content_type(&response))?);
        let body = Body::read(response, self.limits).await?;
        // Hostile markup takes a core for all of its time; one core is kept free.
        let _reader = self.readers.acquire().await;
        let reading = tokio::task::spawn_blocking(move || read(&body, kind, url));
        reading.await.map_err(ToolError::internal)
    }
}

/// Gets a response with a status of success.
async fn get(client: &EgressClient, url: Url, accept: &str) -> Result<Response, ToolError> {
    let request = client.request(Method::GET, url)?;
    let request = request
        .header(ACCEPT, accept)
        .header(ACCEPT_ENCODING, Body::ACCEPT_ENCODING);
    let response = client.send(request).await?;
    match response.status().is_success() {
        true => Ok(response),
        false => Err(ToolError::Status {
            status: response.status().as_u16(),
            body: String::new(),
        }),
    }
}

fn kind(content_type: &str) -> Result<Kind, ToolError> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    match essence {
        "text/html" | "application/xhtml+xml" => Ok(Kind::Html),
        "application/json"
        | "application/xml"
        | "application/javascript"
        | "application/x-ndjson"
        | "application/yaml" => Ok(Kind::Text),
        _ if essence.starts_with("text/")
            || essence.ends_with("+json")
            || essence.ends_with("+xml") =>
        {
            Ok(Kind::Text)
        }
        _ => {
            let essence = super::output::shortened(essence, 100);
            let why = format!("this is {essence:?}, which cannot be read as text");
            Err(ToolError::Failed(why))
        }
    }
}

fn read(body: &Body, kind: Kind, url: Url) -> ToolOutput {
    let text = body.text();
    let (page, mut cut) = match kind {
        Kind::Html => html::readable(&text, &url, READING),
        Kind::Text => (Page::plain(text.into_owned()), false),
    };
    cut |= body.cut;
    let mut output = format!("URL: {url}\n");
    if !page.title.is_empty() {
        output += &format!("Title: {}\n", page.title);
    }
    if cut {
        output += "Note: only the beginning of the page was read.\n";
    }
    output.push('\n');
    output += match page.text.is_empty() {
        true => "(the page has no readable text)",
        false => &page.text,
    };
    ToolOutput {
        truncated: cut,
        ..ToolOutput::new(output)
    }
}
