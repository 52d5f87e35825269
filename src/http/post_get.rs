//! GraphQL over HTTP: POST and GET.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::admit::{Kind, admit};
use super::caller::Caller;
use super::content_negotiation::{Accepted, MediaType, negotiate};
use super::error::Refusal;
use super::parameters::Parameters;
use super::request_id::RequestId;
use super::respond::{execute, write};
use super::{Server, body, csrf, multipart, sse, stream, websocket};
use crate::auth::Grant;
use talkgraph_tools::CallerHeaders;

pub(super) async fn post(
    State(server): State<Arc<Server>>,
    Extension(id): Extension<RequestId>,
    Caller(who): Caller,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let accepted = negotiate(&headers)?;
    csrf::check_post(&headers)?;
    let mut held = server.in_flight.hold(Arc::clone(&who.principal.tenant));
    let body = body::read(body, &headers, &server.transport, &mut held).await?;
    let parameters = Parameters::from_json(&body)?;
    let asked = Asked {
        parameters,
        accepted,
        who,
        headers: &headers,
    };
    Ok(answer(&server, asked, id, false).await)
}

pub(super) async fn get(
    State(server): State<Arc<Server>>,
    Extension(id): Extension<RequestId>,
    caller: Result<Caller, Refusal>,
    request: Request,
) -> Result<Response, Refusal> {
    if websocket::is_asked_for(request.headers()) {
        let who = caller.ok().map(|Caller(who)| who);
        return websocket::upgrade(server, request, id, who);
    }
    let Caller(who) = caller?;
    let (parts, _) = request.into_parts();
    let headers = parts.headers;
    let accepted = negotiate(&headers)?;
    server.in_flight.admit(&who.principal.tenant)?;
    csrf::check_get(&headers, &accepted, &server.transport.cors_origins)?;
    let parameters = Parameters::from_query_string(parts.uri.query().unwrap_or_default())?;
    let asked = Asked {
        parameters,
        accepted,
        who,
        headers: &headers,
    };
    Ok(answer(&server, asked, id, true).await)
}

pub(super) async fn other() -> Refusal {
    Refusal::MethodNotAllowed { allow: "GET, POST" }
}

pub(super) async fn sdl(State(server): State<Arc<Server>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (content_type, server.sdl.clone()).into_response()
}

/// A request that passed the transport's checks.
struct Asked<'a> {
    parameters: Parameters<'a>,
    accepted: Accepted,
    who: Grant,
    headers: &'a HeaderMap,
}

async fn answer(
    server: &Arc<Server>,
    asked: Asked<'_>,
    id: RequestId,
    safe_only: bool,
) -> Response {
    let accepted = asked.accepted;
    match try_answer(server, asked, id, safe_only).await {
        Ok(response) => response,
        Err(refusal) => refusal.respond(accepted.for_error()),
    }
}

async fn try_answer(
    server: &Arc<Server>,
    asked: Asked<'_>,
    id: RequestId,
    safe_only: bool,
) -> Result<Response, Refusal> {
    let headers = CallerHeaders::of(asked.headers, &server.forward_headers);
    let operation = admit(server, &asked.parameters, &asked.who.principal, &headers)?;
    // GET has no effects: another site's page can make a browser send one.
    if safe_only && matches!(operation.kind, Kind::Mutation | Kind::Start) {
        return Err(Refusal::MethodNotAllowed { allow: "POST" });
    }
    let media_type = match operation.kind.is_subscription() {
        true => asked.accepted.for_stream()?,
        false => asked.accepted.for_single(),
    };
    let format = match media_type {
        MediaType::EventStream => &sse::FORMAT,
        MediaType::Multipart => &multipart::FORMAT,
        _ => {
            // The result of a mutation is always reported, however large.
            let held = (operation.kind == Kind::Query).then(|| {
                server
                    .in_flight
                    .hold(Arc::clone(&asked.who.principal.tenant))
            });
            let response = execute(server, operation, &id).await;
            return write(&response, media_type, held);
        }
    };
    stream::respond(server, format, operation, &asked.who, asked.headers, id)
}
