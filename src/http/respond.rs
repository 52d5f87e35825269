//! Executing a request and writing its response.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationType, Selection, SelectionSet,
};
use async_graphql::{Request, Response as GraphqlResponse, ServerError};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::Server;
use super::accept::MediaType;
use super::request_id::RequestId;
use crate::graphql::loader::{in_turns, stream_in_turns};
use crate::graphql::{Code, error};

/// Executes a query or mutation. Never fails: whatever happens is a response.
pub(super) async fn execute(server: &Server, request: Request, id: &RequestId) -> GraphqlResponse {
    let run = AssertUnwindSafe(in_turns(server.schema.execute(request))).catch_unwind();
    let mut response = match tokio::time::timeout(server.transport.request_timeout, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => panicked(id),
        Err(_) => coded(Code::Unavailable, "the request took too long", id),
    };
    error::settle(&mut response, &id.0);
    response
}

fn panicked(id: &RequestId) -> GraphqlResponse {
    tracing::error!(request = id.0, "a resolver panicked");
    coded(Code::InternalServerError, "internal server error", id)
}

/// A response of one error with a code.
pub(super) fn coded(code: Code, message: &str, id: &RequestId) -> GraphqlResponse {
    let mut error = ServerError::new(message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code.as_str());
    if matches!(code, Code::InternalServerError | Code::Unavailable) {
        extensions.set("requestId", id.0.as_str());
    }
    GraphqlResponse::from_errors(vec![error])
}

/// Whether nothing was executed: the document did not parse or validate, or names no
/// operation.
pub(super) fn is_request_error(response: &GraphqlResponse) -> bool {
    response.data == async_graphql::Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Writes a response in the negotiated media type.
pub(super) fn write(response: &GraphqlResponse, media_type: MediaType) -> Response {
    let failed = is_request_error(response);
    let status = match media_type {
        _ if !failed => StatusCode::OK,
        MediaType::GraphqlResponse => request_error_status(response),
        _ => StatusCode::OK,
    };
    let body = match failed {
        // A request error has no `data` entry (GraphQL, section 7.1).
        true => serde_json::to_vec(&serde_json::json!({ "errors": response.errors })),
        false => serde_json::to_vec(response),
    };
    match body {
        Ok(body) => {
            let content_type = HeaderValue::from_static(media_type.as_str());
            (
                status,
                [(header::CONTENT_TYPE, content_type)],
                Body::from(body),
            )
                .into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a response could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
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

/// What kind of operation would be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Mutation,
    /// Follows something and changes nothing.
    Follow,
    /// Starts something by being subscribed to.
    Start,
}

/// The kind of operation that would be executed; `None` when the document names none.
pub(super) fn kind(document: &ExecutableDocument, operation_name: Option<&str>) -> Option<Kind> {
    let operation = match (&document.operations, operation_name) {
        (DocumentOperations::Single(operation), None) => operation,
        (DocumentOperations::Single(_), Some(_)) => return None,
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name)?,
        (DocumentOperations::Multiple(operations), None) => match operations.len() {
            1 => operations.values().next()?,
            _ => return None,
        },
    };
    Some(match operation.node.ty {
        OperationType::Query => Kind::Query,
        OperationType::Mutation => Kind::Mutation,
        OperationType::Subscription if follows(&operation.node.selection_set.node) => Kind::Follow,
        OperationType::Subscription => Kind::Start,
    })
}

/// Whether it plainly selects nothing but `runEvents`.
fn follows(selections: &SelectionSet) -> bool {
    selections.items.iter().all(
        |item| matches!(&item.node, Selection::Field(field) if field.node.name.node == "runEvents"),
    )
}

/// A request ready to run: with its principal.
pub(super) fn on_behalf_of(request: Request, who: &crate::domain::Principal) -> Request {
    request.data(who.clone())
}

/// Executes any operation as a stream of responses, for the transports that have one.
pub(super) fn execute_stream(
    server: &Arc<Server>,
    request: Request,
    id: RequestId,
) -> impl futures_util::Stream<Item = GraphqlResponse> + Send + use<> {
    use futures_util::StreamExt;
    let stream = stream_in_turns(server.schema.execute_stream(request));
    AssertUnwindSafe(stream)
        .catch_unwind()
        .map(move |response| {
            let mut response = response.unwrap_or_else(|_| panicked(&id));
            error::settle(&mut response, &id.0);
            response
        })
}
