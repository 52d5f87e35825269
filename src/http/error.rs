//! Refusals before GraphQL execution, as JSON with a code in the shape of a GraphQL response.

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use thiserror::Error;

use super::content_negotiation::MediaType;
use super::in_flight::Full;
use crate::auth::AuthError;
use crate::guard::{GuardError, PersistedError};

/// The reason for refusing a request. All but the last are client errors.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    BadRequest(String),
    #[error(transparent)]
    Unauthenticated(#[from] AuthError),
    #[error("{0}")]
    Forbidden(String),
    #[error(
        "this server is not {host:?}; http.hosts lists the names under which it may be addressed, \
         besides localhost, 127.0.0.1 and [::1]"
    )]
    Host { host: String },
    #[error("no resource at {0}; the GraphQL endpoint is /graphql")]
    NoSuchPath(String),
    #[error("method not allowed; use {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("none of the accepted media types is available; this endpoint offers {0}")]
    NotAcceptable(&'static str),
    #[error("the body exceeds {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body took longer than {limit_ms} ms to arrive")]
    TooSlow { limit_ms: u128 },
    #[error("send the request as application/json in UTF-8")]
    UnsupportedMediaType,
    #[error("the body's Content-Encoding must be gzip, deflate or br")]
    UnsupportedCoding,
    #[error(
        "this operation starts a run and cannot be resumed; follow the run with \
             `runEvents(runId, after)`"
    )]
    NotResumable,
    #[error(
        "the caller has {limit} open event streams, the maximum (http.streams); close one first"
    )]
    TooManyStreams { limit: usize },
    #[error(
        "the server has {limit} open event streams, the maximum (http.streams_total); retry later"
    )]
    TooManyStreamsInAll { limit: usize },
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Document(#[from] GuardError),
    #[error(transparent)]
    Persisted(#[from] PersistedError),
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    pub(super) fn foreign_origin() -> Self {
        Self::Forbidden(
            "pages of this origin may not connect; add the origin to http.cors_origins".to_owned(),
        )
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::Host { .. } => (StatusCode::MISDIRECTED_REQUEST, "FORBIDDEN"),
            Self::NoSuchPath(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "LIMIT_EXCEEDED"),
            Self::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "LIMIT_EXCEEDED"),
            Self::UnsupportedMediaType | Self::UnsupportedCoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")
            }
            Self::NotResumable => (StatusCode::CONFLICT, "CONFLICT"),
            Self::TooManyStreams { .. } => (StatusCode::TOO_MANY_REQUESTS, "LIMIT_EXCEEDED"),
            Self::Document(error) => (StatusCode::BAD_REQUEST, error.code()),
            Self::Persisted(error) => (StatusCode::BAD_REQUEST, error.code()),
            Self::Unavailable(_) | Self::Full(_) | Self::TooManyStreamsInAll { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
            }
        }
    }

    /// Returns true for a document that is not GraphQL and for an unknown persisted document: both
    /// are well-formed requests, which `application/json` answers with 200 (GraphQL over HTTP,
    /// section 6.4.1).
    fn is_well_formed(&self) -> bool {
        matches!(
            self,
            Self::Document(
                GuardError::Syntax { .. } | GuardError::Operation(_) | GuardError::Variable { .. }
            ) | Self::Persisted(PersistedError::NotFound | PersistedError::NotSupported)
        )
    }

    /// Returns true if the request itself is malformed, regardless of its document.
    pub(super) fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::Document(GuardError::Parameter { .. })
                | Self::Persisted(PersistedError::Missing | PersistedError::Both)
        )
    }

    /// Converts the refusal to a GraphQL error, for transports and media types without statuses.
    pub(super) fn to_error(&self) -> ServerError {
        let mut error = ServerError::new(self.to_string(), None);
        let extensions = error.extensions.get_or_insert_default();
        extensions.set("code", self.status_and_code().1);
        match self {
            Self::Document(GuardError::Limit { most, .. }) => extensions.set("limit", *most),
            Self::TooLarge { limit }
            | Self::TooManyStreams { limit }
            | Self::TooManyStreamsInAll { limit }
            | Self::Full(Full { limit }) => {
                extensions.set("limit", *limit);
            }
            Self::Document(GuardError::Parameter { field, .. }) => extensions.set("field", *field),
            _ => {}
        }
        if let Self::Document(document) = self {
            error.locations = document.locations().to_vec();
        }
        error
    }

    /// Converts the refusal to a response in a media type that the client accepts.
    pub(super) fn respond(&self, media_type: MediaType) -> Response {
        let status = match media_type {
            MediaType::Json if self.is_well_formed() => StatusCode::OK,
            _ => self.status_and_code().0,
        };
        let media_type = match media_type {
            MediaType::GraphqlResponse => media_type,
            _ => MediaType::Json,
        };
        let errors = GraphqlResponse::from_errors(vec![self.to_error()]).errors;
        let body = serde_json::json!({ "errors": errors }).to_string();
        let content_type = [(header::CONTENT_TYPE, media_type.as_str())];
        let mut response = (status, content_type, body).into_response();
        let header: Option<(HeaderName, &'static str)> = match self {
            Self::MethodNotAllowed { allow } => Some((header::ALLOW, allow)),
            Self::Full(_) | Self::TooManyStreamsInAll { .. } => Some((header::RETRY_AFTER, "1")),
            // RFC 9110, section 15.5.16.
            Self::UnsupportedCoding => Some((header::ACCEPT_ENCODING, "gzip, deflate, br")),
            Self::Unauthenticated(_) => Some((header::WWW_AUTHENTICATE, "Bearer")),
            _ => None,
        };
        if let Some((name, value)) = header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.respond(MediaType::GraphqlResponse)
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::NoSuchPath(uri.path().to_owned())
}
