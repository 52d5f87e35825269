//! Refusals before GraphQL: still JSON with a code, in the shape of a GraphQL response.

use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

use crate::auth::AuthError;

/// Why a request is refused. All of these are the client's.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    BadRequest(String),
    #[error(transparent)]
    Unauthenticated(#[from] AuthError),
    #[error("{0}")]
    Forbidden(String),
    #[error("there is nothing at {0}; the GraphQL endpoint is /graphql")]
    NoSuchPath(String),
    #[error("use {allow}")]
    MethodNotAllowed { allow: &'static str },
    #[error("this endpoint answers with {0}")]
    NotAcceptable(&'static str),
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("send the request as application/json")]
    UnsupportedMediaType,
}

impl Refusal {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::NoSuchPath(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::NotAcceptable(_) => (StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "LIMIT_EXCEEDED"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let error = json!({ "message": self.to_string(), "extensions": { "code": code } });
        let mut response = (status, Json(json!({ "errors": [error] }))).into_response();
        let header = match &self {
            Self::MethodNotAllowed { allow } => Some((header::ALLOW, *allow)),
            Self::Unauthenticated(_) => Some((header::WWW_AUTHENTICATE, "Bearer")),
            _ => None,
        };
        if let Some((name, value)) = header {
            let value = axum::http::HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::NoSuchPath(uri.path().to_owned())
}
