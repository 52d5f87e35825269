//! The parameters of a GraphQL request from any transport: a POST body, a query string, the payload
//! of a WebSocket message. Types are strict, and an error names the parameter.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::Refusal;
use crate::guard::Asked;

/// The parameters of a request (GraphQL over HTTP, section 5.1, and its appendix on persisted
/// documents). Unknown ones are ignored: later versions of the specification may add some.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a> {
    pub(super) query: Option<Cow<'a, str>>,
    pub(super) document_id: Option<Cow<'a, str>>,
    pub(super) operation_name: Option<Cow<'a, str>>,
    pub(super) variables: Option<Cow<'a, RawValue>>,
    pub(super) extensions: Extensions,
}

/// The supported extensions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Extensions {
    pub(super) persisted_query: Option<PersistedQuery>,
    /// True if the response is to report the request's complexity.
    pub(super) complexity: bool,
}

/// A document reference by hash (Apollo's automatic persisted queries).
#[derive(Debug, Deserialize)]
pub(super) struct PersistedQuery {
    pub(super) version: u32,
    #[serde(rename = "sha256Hash")]
    pub(super) sha256_hash: String,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    query: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "documentId")]
    document_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "operationName")]
    operation_name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    variables: Option<&'a RawValue>,
    #[serde(borrow, default)]
    extensions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct QueryString {
    query: Option<String>,
    #[serde(rename = "documentId")]
    document_id: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl<'a> Parameters<'a> {
    /// Parses the parameters of a JSON object.
    pub(super) fn from_json(json: &'a [u8]) -> Result<Self, Refusal> {
        // serde would parse a list as the parameters in order.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refusal::BadRequest(
                "a request must be a JSON object".into(),
            ));
        }
        let raw: Raw<'a> = serde_json::from_slice(json).map_err(|error| {
            Refusal::BadRequest(format!("not a valid GraphQL request: {error}"))
        })?;
        Ok(Self {
            query: text("query", raw.query)?,
            document_id: text("documentId", raw.document_id)?,
            operation_name: text("operationName", raw.operation_name)?,
            variables: raw.variables.map(Cow::Borrowed),
            extensions: raw
                .extensions
                .map(extensions)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Parses the parameters of a query string, with variables and extensions as JSON.
    pub(super) fn from_query_string(query: &str) -> Result<Parameters<'static>, Refusal> {
        let given: QueryString = serde_urlencoded::from_str(query).map_err(|error| {
            Refusal::BadRequest(format!("the query string cannot be read: {error}"))
        })?;
        let raw_extensions = json("extensions", given.extensions)?;
        let extensions = raw_extensions.as_deref().map(extensions).transpose()?;
        let variables = json("variables", given.variables)?;
        Ok(Parameters {
            query: given.query.map(Cow::Owned),
            document_id: given.document_id.map(Cow::Owned),
            operation_name: given
                .operation_name
                .filter(|name| !name.is_empty())
                .map(Cow::Owned),
            variables: variables.map(Cow::Owned),
            extensions: extensions.unwrap_or_default(),
        })
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        let persisted = self.extensions.persisted_query.as_ref();
        Asked {
            query: self.query.as_deref(),
            document_id: self.document_id.as_deref(),
            sha256: persisted.map(|persisted| persisted.sha256_hash.as_str()),
        }
    }
}

fn text<'a>(name: &str, raw: Option<&'a RawValue>) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(raw) = raw else { return Ok(None) };
    if let Ok(text) = serde_json::from_str::<&str>(raw.get()) {
        return Ok(Some(Cow::Borrowed(text)));
    }
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Ok(Some(Cow::Owned(text))),
        Err(error) => Err(wrong(name, "a string", &error)),
    }
}

fn extensions(raw: &RawValue) -> Result<Extensions, Refusal> {
    if raw.get() == "null" {
        return Ok(Extensions::default());
    }
    if !raw.get().starts_with('{') {
        return Err(Refusal::BadRequest("`extensions` must be an object".into()));
    }
    let extensions: Extensions = serde_json::from_str(raw.get())
        .map_err(|error| wrong("extensions", "an object as specified", &error))?;
    match &extensions.persisted_query {
        Some(persisted) if persisted.version != 1 => Err(Refusal::BadRequest(
            "`extensions.persistedQuery.version` must be 1".into(),
        )),
        _ => Ok(extensions),
    }
}

fn json(name: &str, text: Option<String>) -> Result<Option<Box<RawValue>>, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let raw: Box<RawValue> =
        serde_json::from_str(&text).map_err(|error| wrong(name, "JSON", &error))?;
    Ok((raw.get() != "null").then_some(raw))
}

fn wrong(name: &str, expected: &str, error: &serde_json::Error) -> Refusal {
    Refusal::BadRequest(format!("`{name}` must be {expected}: {error}"))
}
