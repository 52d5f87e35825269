//! MCP servers over HTTP that lose their sessions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde_json::{Value, json};

use crate::support::pages::Pages;
use crate::support::server::{Setup, TestServer};
use crate::support::wait::eventually;
use crate::tools::output;

/// What a server answers to a call: a status, a content type and a body.
pub(crate) type Said = (u16, &'static str, String);

const JSON: &str = "application/json";

/// An MCP server over streamable HTTP whose answers to calls are scripted.
#[derive(Clone, Default)]
pub(crate) struct HttpMcp(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    sessions: BTreeSet<String>,
    initialized: usize,
    /// The calls that were executed.
    executed: Vec<Value>,
    /// The answer to a call of an unknown session.
    unknown: Option<Said>,
    /// The answer to the next call, instead of its result.
    next: Option<Said>,
    /// The names of its tools besides `t`.
    more: Vec<&'static str>,
}

impl HttpMcp {
    /// Serves it, and a server that has its tool `srv__t`.
    pub(crate) async fn serve(&self, more: &str) -> (Pages, TestServer) {
        let mcp = self.clone();
        let handle = async move |request: Request| mcp.handle(request).await;
        let pages = Pages::serve(Router::new().fallback(handle)).await;
        let url = pages.url("/mcp");
        let toml = format!("[[tools.mcp]]\nname = \"srv\"\nurl = \"{url}\"\n{more}\n");
        let server = Setup::new().file(&toml).start().await;
        (pages, server)
    }

    /// Has it answer the next call so.
    pub(crate) fn next(&self, said: Said) {
        self.0.lock().unwrap().next = Some(said);
    }

    fn forget(&self, unknown: Said) {
        let mut state = self.0.lock().unwrap();
        state.sessions.clear();
        state.unknown = Some(unknown);
    }

    async fn handle(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return response((405, "text/plain", String::new()), None);
        }
        // A path without its slash, as frameworks have it.
        if parts.uri.path() == "/moved" {
            let answer = Response::builder()
                .status(307)
                .header("location", "/moved/");
            return answer.body(Body::empty()).unwrap();
        }
        let body = axum::body::to_bytes(body, 1_000_000).await.unwrap();
        let message: Value = serde_json::from_slice(&body).unwrap();
        self.answer(&parts.headers, &message)
    }

    fn answer(&self, headers: &HeaderMap, message: &Value) -> Response {
        let id = &message["id"];
        if id.is_null() {
            return response((202, "text/plain", String::new()), None);
        }
        let mut state = self.0.lock().unwrap();
        let method = message["method"].as_str().unwrap();
        if method == "initialize" {
            state.initialized += 1;
            let session = format!("session-{}", state.initialized);
            state.sessions.insert(session.clone());
            let version = &message["params"]["protocolVersion"];
            let result = json!({ "protocolVersion": version, "capabilities": { "tools": {} },
                "serverInfo": { "name": "s", "version": "1" } });
            return response(answer_to(id, &result), Some(&session));
        }
        let session = headers.get("mcp-session-id").map(|id| id.to_str().unwrap());
        if !session.is_some_and(|session| state.sessions.contains(session)) {
            let unknown = state.unknown.clone();
            let refused = unknown.unwrap_or((400, JSON, "{}".to_owned()));
            return response(with_id(refused, id), None);
        }
        let result = match method {
            "tools/list" => {
                let names = std::iter::once("t").chain(state.more.clone());
                let tool = |name| json!({ "name": name, "inputSchema": { "type": "object" } });
                json!({ "tools": names.map(tool).collect::<Vec<_>>() })
            }
            "tools/call" => {
                if let Some(said) = state.next.take() {
                    return response(with_id(said, id), None);
                }
                state.executed.push(message["params"].clone());
                json!({ "content": [{ "type": "text", "text": "ok" }] })
            }
            _ => json!({}),
        };
        response(answer_to(id, &result), None)
    }
}

fn answer_to(id: &Value, result: &Value) -> Said {
    let body = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    (200, JSON, body.to_string())
}

/// The body with the request's id in the place of `ID`.
fn with_id((status, kind, body): Said, id: &Value) -> Said {
    (status, kind, body.replace("ID", &id.to_string()))
}

fn response((status, kind, body): Said, session: Option<&str>) -> Response {
    let mut response = Response::builder()
        .status(status)
        .header("content-type", kind);
    if let Some(session) = session {
        response = response.header("mcp-session-id", session);
    }
    response.body(Body::from(body)).unwrap()
}

/// However a server says that it does not know the session: it is initialised again, and the call
/// is made once.
#[tokio::test]
async fn lost_session_is_renewed_and_the_call_repeated() {
    let error = |id: &str, code: i32, message: &str| {
        format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}"}},"id":{id}}}"#)
    };
    let no_valid = "Bad Request: No valid session ID provided";
    for unknown in [
        (404, "text/plain", "Not Found".to_owned()),
        // The TypeScript SDK's example and transport, the Python SDK, and others.
        (400, JSON, error("null", -32_000, no_valid)),
        (400, JSON, error("ID", -32_000, no_valid)),
        (404, JSON, error("null", -32_001, "Session not found")),
        (
            400,
            JSON,
            error(
                "\"server-error\"",
                -32_600,
                "Bad Request: Missing session ID",
            ),
        ),
        (
            400,
            JSON,
            error("null", -32_000, "Bad Request: Server not initialized"),
        ),
        (
            400,
            "text/plain",
            "Invalid or expired session ID".to_owned(),
        ),
        (400, JSON, r#"{"error":"unknown session"}"#.to_owned()),
        (200, JSON, error("ID", -32_001, "Session not found")),
        (
            200,
            "text/event-stream",
            format!("data: {}\n\n", error("ID", -32_001, "Session expired")),
        ),
    ] {
        let mcp = HttpMcp::default();
        let (_pages, server) = mcp.serve("").await;
        let client = server.client();
        assert_eq!(output(&client, "srv__t", json!({ "n": 1 })).await, "ok");
        mcp.forget(unknown.clone());
        let again = output(&client, "srv__t", json!({ "n": 2 })).await;
        assert_eq!(again, "ok", "{unknown:?}");
        let state = mcp.0.lock().unwrap();
        assert!(state.initialized >= 2, "{unknown:?}");
        let executed: Vec<_> = state
            .executed
            .iter()
            .map(|call| &call["arguments"]["n"])
            .collect();
        assert_eq!(executed, [1, 2], "{unknown:?}");
    }
}

/// A server that was started again may have other tools: they are listed again.
#[tokio::test]
async fn tools_are_listed_again_in_a_new_session() {
    let mcp = HttpMcp::default();
    let (_pages, server) = mcp.serve("").await;
    let client = server.client();
    mcp.0.lock().unwrap().more.push("new");
    mcp.forget((404, "text/plain", "Not Found".to_owned()));
    assert_eq!(output(&client, "srv__t", json!({})).await, "ok");
    eventually("the new tool", async || {
        let data = client.data("{ tools { name } }", &json!({})).await;
        data["tools"].to_string().contains("srv__new").then_some(())
    })
    .await;
}

/// A server behind a redirect within its origin is reached.
#[tokio::test]
async fn redirect_within_the_origin_is_followed() {
    let mcp = HttpMcp::default();
    let handler = mcp.clone();
    let handle = async move |request: Request| handler.handle(request).await;
    let pages = Pages::serve(Router::new().fallback(handle)).await;
    let toml = format!(
        "[[tools.mcp]]\nname = \"srv\"\nurl = \"{}\"\n",
        pages.url("/moved")
    );
    let server = Setup::new().file(&toml).start().await;
    assert_eq!(output(&server.client(), "srv__t", json!({})).await, "ok");
}
