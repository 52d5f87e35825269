//! Content negotiation for the endpoint's media types.

use axum::http::{HeaderMap, header};

use super::error::Refusal;

/// The media type of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status describes the request.
    GraphqlResponse,
    /// `application/json`: 200 for every well-formed request (GraphQL over HTTP,
    /// section 6.4.1).
    Json,
    /// `text/event-stream`.
    EventStream,
    /// `multipart/mixed` as in Apollo's multipart subscriptions.
    Multipart,
}

impl MediaType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
            Self::Multipart => "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0",
        }
    }

    fn is_stream(self) -> bool {
        matches!(self, Self::EventStream | Self::Multipart)
    }
}

/// The offered media types that the client accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    /// The best type for a single response, with its weight.
    single: Option<(f32, MediaType)>,
    /// The best type for a stream of responses, with its weight.
    stream: Option<(f32, MediaType)>,
    /// True if the client named one of the types, rather than a wildcard.
    pub(super) by_name: bool,
    /// True if there is no `Accept` header, which browsers always send.
    pub(super) is_absent: bool,
}

const OFFERED: &str = "application/graphql-response+json, application/json, text/event-stream or \
                       multipart/mixed;subscriptionSpec=1.0";
const OFFERED_STREAMS: &str = "text/event-stream or multipart/mixed;subscriptionSpec=1.0 for \
                               subscriptions, or over a WebSocket";

/// Selects the best accepted types, by their weights (RFC 9110, section 12.5.1) and among equals by
/// their order.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Accepted, Refusal> {
    let mut accepted = Accepted {
        single: None,
        stream: None,
        by_name: false,
        is_absent: true,
    };
    let mut excluded = false;
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',').filter(|range| !range.trim().is_empty()) {
            accepted.is_absent = false;
            let Some((weight, media_type)) = offer(range) else {
                continue;
            };
            accepted.by_name |= !range.contains('*');
            excluded |= weight == 0.0 && media_type == MediaType::Json;
            accepted.add(weight, media_type);
        }
    }
    // A wildcard matches types that are not excluded by name.
    if let Some((_, media_type @ MediaType::Json)) = &mut accepted.single
        && excluded
    {
        *media_type = MediaType::GraphqlResponse;
    }
    match accepted {
        Accepted {
            is_absent: false,
            single: None,
            stream: None,
            ..
        } => Err(Refusal::NotAcceptable(OFFERED)),
        accepted => Ok(accepted),
    }
}

impl Accepted {
    fn add(&mut self, weight: f32, media_type: MediaType) {
        let best = match media_type.is_stream() {
            true => &mut self.stream,
            false => &mut self.single,
        };
        if weight > best.map_or(0.0, |(weight, _)| weight) {
            *best = Some((weight, media_type));
        }
    }

    /// Returns the type for a query or mutation. Without a preference: `application/json`, which
    /// clients without an `Accept` header understand.
    pub(super) fn for_single(&self) -> MediaType {
        match (self.single, self.stream) {
            (Some((weight, single)), Some((other, _))) if weight >= other => single,
            (_, Some((_, stream))) => stream,
            (Some((_, single)), None) => single,
            (None, None) => MediaType::Json,
        }
    }

    /// Returns the type for a subscription, which a client must request as a stream.
    pub(super) fn for_stream(&self) -> Result<MediaType, Refusal> {
        let best = self.stream.map(|(_, media_type)| media_type);
        best.ok_or(Refusal::NotAcceptable(OFFERED_STREAMS))
    }

    /// Returns the type for a refusal.
    pub(super) fn for_error(&self) -> MediaType {
        let best = self.single.map(|(_, media_type)| media_type);
        best.unwrap_or(match self.stream {
            // A client that accepts only streams still sees the status.
            Some(_) => MediaType::GraphqlResponse,
            None => MediaType::Json,
        })
    }
}

fn offer(range: &str) -> Option<(f32, MediaType)> {
    let mut pieces = range.split(';').map(str::trim);
    let media_type = match pieces.next()?.to_ascii_lowercase().as_str() {
        "application/graphql-response+json" => MediaType::GraphqlResponse,
        "application/json" | "application/*" | "*/*" => MediaType::Json,
        "text/event-stream" => MediaType::EventStream,
        "multipart/mixed" => MediaType::Multipart,
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
            // Incremental delivery is another protocol in the same media type.
            Some((name, _)) if name.trim().eq_ignore_ascii_case("deferSpec") => return None,
            _ if is_foreign_charset(parameter) => return None,
            _ => {}
        }
    }
    Some((weight, media_type))
}

/// Returns true if a media type's parameter names a charset other than UTF-8.
pub(super) fn is_foreign_charset(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset")
            && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: Option<&str>) -> Option<(MediaType, Option<MediaType>)> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        let accepted = negotiate(&headers).ok()?;
        Some((accepted.for_single(), accepted.for_stream().ok()))
    }

    #[test]
    fn the_best_offer_wins() {
        use MediaType::{EventStream, GraphqlResponse, Json, Multipart};
        let cases = [
            (None, Some((Json, None))),
            (Some("*/*"), Some((Json, None))),
            (Some("application/json"), Some((Json, None))),
            (
                Some("application/graphql-response+json, application/json;q=0.9"),
                Some((GraphqlResponse, None)),
            ),
            (
                Some("application/graphql-response+json;q=0.5, application/json"),
                Some((Json, None)),
            ),
            (
                Some("text/event-stream"),
                Some((EventStream, Some(EventStream))),
            ),
            (
                Some("text/event-stream, application/json"),
                Some((Json, Some(EventStream))),
            ),
            (
                Some("multipart/mixed;subscriptionSpec=1.0, application/json"),
                Some((Json, Some(Multipart))),
            ),
            (
                Some("multipart/mixed;deferSpec=20220824, application/json"),
                Some((Json, None)),
            ),
            (
                Some("multipart/mixed;q=0.5, text/event-stream;q=0.4"),
                Some((Multipart, Some(Multipart))),
            ),
            (Some("application/json; charset=utf-8"), Some((Json, None))),
            (Some("application/json; charset=latin1"), None),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
            (
                Some("application/json;q=0, */*"),
                Some((GraphqlResponse, None)),
            ),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiated(accept), expected, "{accept:?}");
        }
    }
}
