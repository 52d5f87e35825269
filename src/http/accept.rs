//! What a client wants back: content negotiation for the endpoint's three media types.

use axum::http::{HeaderMap, header};

use super::error::Refusal;

/// How a response is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status tells about the request.
    GraphqlResponse,
    /// `application/json`: 200 for every well-formed request (GraphQL over HTTP,
    /// section 6.4.1).
    Json,
    /// `text/event-stream`.
    EventStream,
}

impl MediaType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        }
    }
}

const OFFERED: &str = "application/graphql-response+json, application/json or text/event-stream";

/// The best of what the client accepts, by its weights (RFC 9110, section 12.5.1) and among
/// equals by its order. Without a preference: `application/json`, which is what clients
/// that say nothing understand.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<MediaType, Refusal> {
    let mut best: Option<(f32, MediaType)> = None;
    let mut said_anything = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',').filter(|range| !range.trim().is_empty()) {
            said_anything = true;
            if let Some((weight, media_type)) = offer(range)
                && weight > best.map_or(0.0, |(weight, _)| weight)
            {
                best = Some((weight, media_type));
            }
        }
    }
    match best {
        Some((_, media_type)) => Ok(media_type),
        None if said_anything => Err(Refusal::NotAcceptable(OFFERED)),
        None => Ok(MediaType::Json),
    }
}

fn offer(range: &str) -> Option<(f32, MediaType)> {
    let mut pieces = range.split(';').map(str::trim);
    let media_type = match pieces.next()?.to_ascii_lowercase().as_str() {
        "application/graphql-response+json" => MediaType::GraphqlResponse,
        "application/json" | "application/*" | "*/*" => MediaType::Json,
        "text/event-stream" => MediaType::EventStream,
        _ => return None,
    };
    let mut weight = 1.0;
    for parameter in pieces {
        match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                weight = value
                    .trim()
                    .parse()
                    .ok()
                    .filter(|q| (0.0..=1.0).contains(q))?;
            }
            _ if is_foreign_charset(parameter) => return None,
            _ => {}
        }
    }
    Some((weight, media_type))
}

/// Whether a media type's parameter asks for another charset than UTF-8.
pub(super) fn is_foreign_charset(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset")
            && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: Option<&str>) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        negotiate(&headers).ok()
    }

    #[test]
    fn the_best_offer_wins() {
        let cases = [
            (None, Some(MediaType::Json)),
            (Some("*/*"), Some(MediaType::Json)),
            (Some("application/json"), Some(MediaType::Json)),
            (
                Some("application/graphql-response+json, application/json;q=0.9"),
                Some(MediaType::GraphqlResponse),
            ),
            (
                Some("application/graphql-response+json;q=0.5, application/json"),
                Some(MediaType::Json),
            ),
            (Some("text/event-stream"), Some(MediaType::EventStream)),
            (
                Some("application/json; charset=utf-8"),
                Some(MediaType::Json),
            ),
            (Some("application/json; charset=latin1"), None),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiated(accept), expected, "{accept:?}");
        }
    }
}
