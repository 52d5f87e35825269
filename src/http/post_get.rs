//! GraphQL over HTTP: POST and GET.

use std::sync::Arc;

use async_graphql::Request;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::accept::{MediaType, is_foreign_charset, negotiate};
use super::caller::Caller;
use super::error::Refusal;
use super::request_id::RequestId;
use super::respond::{Kind, execute, kind, on_behalf_of, write};
use super::{Server, sse, websocket};

/// The parameters of a GET request; JSON where a POST has an object.
#[derive(Debug, Deserialize)]
struct Parameters {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

pub(super) async fn post(
    State(server): State<Arc<Server>>,
    Extension(id): Extension<RequestId>,
    Caller(who): Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let media_type = negotiate(&headers)?;
    check_content_type(&headers)?;
    let body = body.map_err(|rejection| unreadable(&server, &rejection))?;
    // A list would be read as the request's fields in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::BadRequest(
            "the body must be a JSON object".to_owned(),
        ));
    }
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Refusal::BadRequest(format!("the body is no GraphQL request: {error}")))?;
    answer(&server, on_behalf_of(request, &who), media_type, id, false).await
}

pub(super) async fn get(
    State(server): State<Arc<Server>>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    query: RawQuery,
    caller: Result<Caller, Refusal>,
) -> Result<Response, Refusal> {
    if let Ok(upgrade) = upgrade {
        let who = caller.ok().map(|Caller(who)| who);
        return websocket::upgrade(server, upgrade, &headers, id, who);
    }
    let Caller(who) = caller?;
    let media_type = negotiate(&headers)?;
    let request = from_query(query.0.as_deref().unwrap_or_default())?;
    answer(&server, on_behalf_of(request, &who), media_type, id, true).await
}

pub(super) async fn other() -> Refusal {
    Refusal::MethodNotAllowed { allow: "GET, POST" }
}

pub(super) async fn sdl(State(server): State<Arc<Server>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (content_type, server.sdl.clone()).into_response()
}

async fn answer(
    server: &Arc<Server>,
    mut request: Request,
    media_type: MediaType,
    id: RequestId,
    safe_only: bool,
) -> Result<Response, Refusal> {
    server.documents.prepare(&mut request);
    let name = request.operation_name.clone();
    let operation = match request.parsed_query() {
        Ok(document) => kind(document, name.as_deref()),
        // The executor will say what is wrong with the document.
        Err(_) => None,
    };
    match operation {
        // GET changes nothing: another site's page can make a browser send one.
        Some(Kind::Mutation | Kind::Start) if safe_only => {
            Err(Refusal::MethodNotAllowed { allow: "POST" })
        }
        _ if media_type == MediaType::EventStream => Ok(sse::respond(server, request, id)),
        Some(Kind::Follow | Kind::Start) => Err(Refusal::NotAcceptable(
            "text/event-stream for subscriptions, or over a WebSocket",
        )),
        _ => Ok(write(&execute(server, request, &id).await, media_type)),
    }
}

/// Anything but JSON is refused: it is what a browser would send from another site without
/// asking first.
fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let mut pieces = content_type.unwrap_or_default().split(';').map(str::trim);
    if !pieces
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
    {
        return Err(Refusal::UnsupportedMediaType);
    }
    if pieces.any(is_foreign_charset) {
        return Err(Refusal::UnsupportedMediaType);
    }
    Ok(())
}

fn unreadable(server: &Server, rejection: &BytesRejection) -> Refusal {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::TooLarge {
            limit: server.transport.body_limit,
        };
    }
    Refusal::BadRequest("the body could not be read".to_owned())
}

fn from_query(query: &str) -> Result<Request, Refusal> {
    let parameters: Parameters = serde_urlencoded::from_str(query).map_err(|error| {
        Refusal::BadRequest(format!("the query string cannot be read: {error}"))
    })?;
    let document = parameters
        .query
        .ok_or_else(|| Refusal::BadRequest("the parameter `query` is missing".to_owned()))?;
    let mut request = Request::new(document);
    request.operation_name = parameters.operation_name.filter(|name| !name.is_empty());
    if let Some(variables) = parameters.variables.filter(|text| !text.is_empty()) {
        request.variables = json("variables", &variables)?;
    }
    if let Some(extensions) = parameters.extensions.filter(|text| !text.is_empty()) {
        request.extensions = json("extensions", &extensions)?;
    }
    Ok(request)
}

fn json<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        Refusal::BadRequest(format!(
            "the parameter `{name}` must be a JSON object: {error}"
        ))
    })
}
