//! The caller of a request, as an extractor.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::Server;
use super::error::Refusal;
use crate::auth::Grant;

/// The caller of a request; rejects requests without one.
pub(super) struct Caller(pub(super) Grant);

impl FromRequestParts<Arc<Server>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Refusal> {
        let authorization = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        Ok(Self(server.authenticator.authenticate(authorization)?))
    }
}
