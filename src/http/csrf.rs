//! Protection against cross-site request forgery. Browsers send a CORS preflight only for requests
//! that a plain form or link cannot make; others are rejected.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::content_negotiation::{Accepted, is_foreign_charset};
use super::error::Refusal;

/// Headers that cause a preflight. Each proves that one took place.
pub(super) const PREFLIGHTED: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("apollo-require-preflight"),
    HeaderName::from_static("graphql-require-preflight"),
    HeaderName::from_static("x-apollo-operation-name"),
];

/// Checks that a POST is JSON in UTF-8.
pub(super) fn check_post(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let mut pieces = content_type.unwrap_or_default().split(';').map(str::trim);
    let is_json = pieces
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    match is_json && !pieces.any(is_foreign_charset) {
        true => Ok(()),
        false => Err(Refusal::UnsupportedMediaType),
    }
}

/// Checks that a GET names one of the endpoint's media types, carries a header that causes a
/// preflight, or comes from no page of another site.
pub(super) fn check_get(
    headers: &HeaderMap,
    accepted: &Accepted,
    origins: &[HeaderValue],
) -> Result<(), Refusal> {
    if !is_own_or_allowed(headers, origins) {
        return Err(Refusal::foreign_origin());
    }
    if is_from_another_site(headers) && !is_allowed(headers, origins) {
        return Err(Refusal::Forbidden(
            "a page of another site sent this GET; add its origin to http.cors_origins".to_owned(),
        ));
    }
    let is_preflighted = PREFLIGHTED.iter().any(|name| headers.contains_key(name));
    if accepted.by_name || accepted.is_absent || is_preflighted || is_from_script(headers) {
        return Ok(());
    }
    Err(Refusal::Forbidden(
        "a page of another site could have sent this GET: ask for a media type by name, such as \
         `Accept: application/json`, or send the header graphql-require-preflight"
            .to_owned(),
    ))
}

/// Returns true if a script of the server's own page, or no browser, sent the request. Browsers
/// report that in headers that pages cannot set (Fetch Metadata Request Headers).
fn is_from_script(headers: &HeaderMap) -> bool {
    let says = |name, allowed: &[&str]| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(allowed.contains(&value))
    };
    says("sec-fetch-mode", &["cors", "same-origin"]).unwrap_or(false)
        && says("sec-fetch-site", &["same-origin", "none"]).unwrap_or(true)
}

/// Returns true if the browser reports a page of another origin. Links, images and scripts of such
/// a page send no `Origin`, so no other header shows it.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

fn is_allowed(headers: &HeaderMap, origins: &[HeaderValue]) -> bool {
    let origin = headers.get(header::ORIGIN);
    origin.is_some_and(|origin| origins.contains(origin))
}

/// Returns true if the request's page, if any, is of the server's own or an allowed origin.
pub(super) fn is_own_or_allowed(headers: &HeaderMap, origins: &[HeaderValue]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let own = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, authority)| Some(authority) == host);
    own || origins.contains(origin)
}
