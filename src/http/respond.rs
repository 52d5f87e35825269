//! Execution of requests and encoding of responses.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::{Response as GraphqlResponse, ServerError};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};

use serde::Serialize;

use super::Server;
use super::admit::{Complexity, Kind, Operation};
use super::content_negotiation::MediaType;
use super::error::Refusal;
use super::in_flight::{Held, counted};
use super::request_id::RequestId;
use crate::graphql::loader::{stream_with_batching, with_batching};
use crate::graphql::{self, Code, ResponseBytes, error};

/// Executes a query or mutation. Never fails: each outcome is a response.
pub(super) async fn execute(
    server: &Server,
    operation: Operation,
    id: &RequestId,
) -> GraphqlResponse {
    let limit = match operation.kind {
        Kind::Mutation => server.transport.request_timeout,
        _ => server.transport.query_timeout,
    };
    // Boxed: it is large, and a future is copied each time it becomes part of another.
    let request = operation.request.data(graphql::RequestId(id.0.clone()));
    let run = with_batching(Box::pin(server.schema.execute(request)));
    let run = AssertUnwindSafe(run).catch_unwind();
    let response = match tokio::time::timeout(limit, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => panicked(id),
        Err(_) => coded(Code::Unavailable, "the request timed out", id),
    };
    finish(
        server,
        response,
        operation.complexity,
        &operation.budget,
        id,
    )
}

/// Removes hidden details from a response and adds the requested extensions.
fn finish(
    server: &Server,
    mut response: GraphqlResponse,
    complexity: Option<Complexity>,
    budget: &ResponseBytes,
    id: &RequestId,
) -> GraphqlResponse {
    budget.enforce_limit(&mut response);
    if !response.errors.is_empty() {
        let outage = |why: &str| server.store.health().outage().failed(&why);
        error::finish_errors(&mut response, &id.0, server.transport.errors, outage);
    }
    if let Some(complexity) = complexity
        && let Ok(complexity) = async_graphql::to_value(complexity)
    {
        let name = "complexity".to_owned();
        response.extensions.insert(name, complexity);
    }
    response
}

fn panicked(id: &RequestId) -> GraphqlResponse {
    tracing::error!(request_id = id.0, "resolver panicked");
    coded(Code::InternalServerError, "internal server error", id)
}

/// Creates a response of one error with a code.
pub(super) fn coded(code: Code, message: &str, id: &RequestId) -> GraphqlResponse {
    let mut error = ServerError::new(message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code.as_str());
    if matches!(code, Code::InternalServerError | Code::Unavailable) {
        extensions.set("requestId", id.0.as_str());
    }
    GraphqlResponse::from_errors(vec![error])
}

/// Returns true if nothing was executed: the document did not parse or validate, or names no
/// operation.
pub(super) fn is_request_error(response: &GraphqlResponse) -> bool {
    response.data == async_graphql::Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Encodes a response in the negotiated media type. A large one counts as in flight until it is
/// sent.
///
/// # Errors
///
/// Fails if it exceeds the bytes allowed in flight and `held` is given.
pub(super) fn write(
    response: &GraphqlResponse,
    media_type: MediaType,
    held: Option<Held>,
) -> Result<Response, Refusal> {
    let failed = is_request_error(response);
    let status = match media_type {
        _ if !failed => StatusCode::OK,
        MediaType::GraphqlResponse => request_error_status(response),
        _ => StatusCode::OK,
    };
    let body = match failed {
        // A request error has no `data` entry (GraphQL, section 7.1).
        true => serde_json::to_vec(&Refused {
            errors: &response.errors,
            extensions: &response.extensions,
        }),
        false => serde_json::to_vec(response),
    };
    match body {
        Ok(body) => {
            let content_type = HeaderValue::from_static(media_type.as_str());
            let body = match held {
                Some(mut held) => counted(body, &mut held)?.into(),
                None => Body::from(body),
            };
            Ok((status, [(header::CONTENT_TYPE, content_type)], body).into_response())
        }
        Err(error) => {
            tracing::error!(%error, "failed to encode a response");
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// A response without `data`.
#[derive(Serialize)]
struct Refused<'a> {
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, async_graphql::Value>,
}

fn request_error_status(response: &GraphqlResponse) -> StatusCode {
    let has = |code: Code| {
        response.errors.iter().any(|error| {
            let extensions = error.extensions.as_ref();
            extensions.and_then(|e| e.get("code")) == Some(&code.as_str().into())
        })
    };
    if has(Code::InternalServerError) {
        StatusCode::INTERNAL_SERVER_ERROR
    } else if has(Code::Unavailable) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::BAD_REQUEST
    }
}

/// Executes an operation as a stream of responses, for streaming transports.
pub(super) fn execute_stream(
    server: &Arc<Server>,
    operation: Operation,
    id: RequestId,
) -> BoxStream<'static, GraphqlResponse> {
    let server = Arc::clone(server);
    if !operation.kind.is_subscription() {
        let one = async move { execute(&server, operation, &id).await };
        return stream::once(one).boxed();
    }
    let Operation {
        request,
        complexity,
        budget,
        ..
    } = operation;
    let request = request.data(graphql::RequestId(id.0.clone()));
    let responses = stream_with_batching(server.schema.execute_stream(request));
    AssertUnwindSafe(responses)
        .catch_unwind()
        .map(move |response| {
            let response = response.unwrap_or_else(|_| panicked(&id));
            finish(&server, response, complexity, &budget, &id)
        })
        .boxed()
}

/// Begins a stream of responses. A document that fails validation has no stream: its errors are
/// returned as for a query. They are known at once, because validation does not wait.
pub(super) fn begin_stream(
    server: &Arc<Server>,
    operation: Operation,
    id: RequestId,
) -> Result<BoxStream<'static, GraphqlResponse>, Box<GraphqlResponse>> {
    let mut responses = execute_stream(server, operation, id);
    match responses.next().now_or_never() {
        Some(Some(refused)) if is_request_error(&refused) => Err(Box::new(refused)),
        Some(Some(first)) => Ok(stream::once(ready(first)).chain(responses).boxed()),
        Some(None) => Ok(stream::empty().boxed()),
        None => Ok(responses),
    }
}
