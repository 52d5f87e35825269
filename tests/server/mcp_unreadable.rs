//! MCP servers whose answers cannot be read: the call fails at once, and others are not touched.

use serde_json::json;

use crate::mcp_names::scripted;
use crate::mcp_sessions::HttpMcp;
use crate::support::server::Setup;
use crate::support::wait::soon;
use crate::tools::{call, failure, output};

/// Longer than a test waits: a call that ends has not run out of time.
const PATIENT: &str = "timeout_ms = 600_000";

#[tokio::test]
async fn unreadable_answer_over_http_fails_the_call() {
    let json = "application/json";
    let sse = "text/event-stream";
    let result = r#""result":{"content":[]}"#;
    let mcp = HttpMcp::default();
    let (_pages, server) = mcp.serve(PATIENT).await;
    let client = server.client();
    for (said, told) in [
        ((200, "text/html", "<html>Sign in</html>".to_owned()), "FAILED: "),
        ((200, json, "<html>".to_owned()), "FAILED: "),
        ((200, json, r#"{"jsonrpc":"2.0","id":ID}"#.to_owned()), "FAILED: "),
        ((200, json, format!(r#"{{"jsonrpc":"2.0","id":77777,{result}}}"#)), "FAILED: "),
        ((200, json, r#"{"jsonrpc":"2.0","id":ID,"result":"text"}"#.to_owned()), "FAILED: "),
        ((200, json, r#"{"jsonrpc":"2.0","method":"notifications/x"}"#.to_owned()), "FAILED: "),
        ((202, "text/plain", String::new()), "FAILED: "),
        ((204, "text/plain", String::new()), "FAILED: "),
        ((302, "text/plain", String::new()), "FAILED: "),
        ((400, json, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no"}}"#.to_owned()), "FAILED: no"),
        ((401, "text/plain", "who?".to_owned()), "FAILED: "),
        ((500, "text/plain", "oh".to_owned()), "HTTP_STATUS: the server responded with HTTP status 500"),
        ((503, "text/html", "<html>".to_owned()), "HTTP_STATUS: the server responded with HTTP status 503"),
        ((200, sse, String::new()), "UNREACHABLE: "),
        ((200, sse, ": ping\n\ndata: \n\n".to_owned()), "UNREACHABLE: "),
        ((200, sse, "data: <html>\n\n".to_owned()), "FAILED: "),
        ((200, sse, "data: {\"jsonrpc\":\"2.0\",\"id\":ID}\n\n".to_owned()), "FAILED: "),
        ((200, sse, "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1,\"message\":\"no\"}}\n\n".to_owned()), "FAILED: no"),
    ] {
        mcp.next(said.clone());
        let failed = soon("the call's end", failure(&client, "srv__t", json!({}))).await;
        assert!(failed.starts_with(told), "{said:?}: {failed}");
        assert_eq!(output(&client, "srv__t", json!({})).await, "ok", "{said:?}");
    }
}

#[tokio::test]
async fn unreadable_line_fails_the_call_that_it_answers() {
    let tools = json!([{ "name": "raw" }, { "name": "work" }, { "name": "pid" }]);
    let toml = scripted("srv", &tools, "") + PATIENT;
    let server = Setup::new().file(&toml).start().await;
    let client = server.client();
    let pid = output(&client, "srv__pid", json!({})).await;
    for line in [
        r#"{"jsonrpc":"2.0","id":ID}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":{"content":["#,
        r#"{"jsonrpc":"2.0","id":ID,"error":"no"}"#,
        r#"{"jsonrpc":"2.0","id":ID,"result":"text"}"#,
        r#"{"jsonrpc":"2.0","id":[ID],"result":{"content":[]}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#,
    ] {
        let called = failure(&client, "srv__raw", json!({ "line": line }));
        let failed = soon("the call's end", called).await;
        assert!(failed.starts_with("FAILED: "), "{line}: {failed}");
    }
    // Sloppy ones are read, also after lines of the program's own.
    let content = r#"{"content":[{"type":"text","text":"fine"}]}"#;
    for line in [
        format!(r#"{{"id":"ID","result":{content},"error":null}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":ID.0,"result":{content}}}"#),
        format!(
            "starting…\n{{\"level\":\"info\"}}\n{{\n{{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{content}}}"
        ),
    ] {
        let called = output(&client, "srv__raw", json!({ "line": line }));
        assert_eq!(soon("the call's end", called).await, "fine", "{line}");
    }
    // Another call under way goes on.
    let work = call(&client, "srv__work", json!({ "steps": 20, "every": 50 }));
    let raw = failure(
        &client,
        "srv__raw",
        json!({ "line": r#"{"jsonrpc":"2.0","id":ID}"# }),
    );
    let (work, raw) = tokio::join!(work, raw);
    assert!(raw.starts_with("FAILED: "), "{raw}");
    assert_eq!(work["output"]["text"], "worked", "{work}");
    // All of that was over one connection.
    assert_eq!(output(&client, "srv__pid", json!({})).await, pid);
}
