//! Requests that are not right before GraphQL is looked at.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::bad_input::check_discreet;
use crate::support::client::{body, send};
use crate::support::server::{Setup, TestServer};
use crate::support::wait::soon;

const QUERY: &str = r#"{"query":"{ server { version } }"}"#;

/// The status, the code and the whole answer of a refusal.
fn refusal((status, answer): (u16, Value)) -> (u16, String) {
    check_discreet(&answer.to_string());
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    assert!(answer.get("data").is_none(), "{answer}");
    (
        status,
        code.unwrap_or_else(|| panic!("{answer}")).to_owned(),
    )
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Setup::new()
        .set("http.body_limit_bytes", 1_000)
        .start()
        .await;
    let client = server.client();
    let request = |size: usize| {
        let request = client.request(Method::POST, "/graphql");
        let padded = format!("{QUERY}{}", " ".repeat(size - QUERY.len()));
        request
            .header("content-type", "application/json")
            .body(padded)
    };
    assert_eq!(send(request(1_000)).await.status(), StatusCode::OK);
    assert_eq!(
        refusal(body(request(1_001)).await),
        (413, "LIMIT_EXCEEDED".to_owned())
    );
    // A body that does not tell its length is cut off at the limit.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 16_384]));
    let request = client
        .request(Method::POST, "/graphql")
        .header("content-type", "application/json")
        .body(reqwest::Body::wrap_stream(endless));
    match soon("an answer", request.send()).await {
        Ok(response) => assert_eq!(response.status(), 413),
        // The server may close while we still write.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    assert_eq!(send(self::query(&server)).await.status(), StatusCode::OK);
}

fn query(server: &TestServer) -> reqwest::RequestBuilder {
    let request = server.client().request(Method::POST, "/graphql");
    request
        .header("content-type", "application/json")
        .body(QUERY)
}

#[tokio::test]
async fn only_json_is_taken() {
    let server = TestServer::start().await;
    let client = server.client();
    let mutation = json!({ "query": "mutation { createSession { session { id } } }" });
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/json; charset=latin1"),
        Some("application/jsonp"),
    ] {
        let mut request = client
            .request(Method::POST, "/graphql")
            .body(mutation.to_string());
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let refused = refusal(body(request).await);
        assert_eq!(
            refused,
            (415, "UNSUPPORTED_MEDIA_TYPE".to_owned()),
            "{content_type:?}"
        );
    }
    let data = client
        .data("{ sessions { nodes { id } } }", &json!({}))
        .await;
    assert_eq!(data["sessions"]["nodes"], json!([]), "nothing was executed");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let server = TestServer::start().await;
    for text in [
        "",
        "{",
        "null",
        "[]",
        "\"{ server { version } }\"",
        "{\"query\":1}",
        "\u{0}",
        "{}",
    ] {
        let request = server.client().request(Method::POST, "/graphql");
        let request = request
            .header("content-type", "application/json")
            .body(text);
        let refused = refusal(body(request).await);
        assert_eq!(refused, (400, "BAD_REQUEST".to_owned()), "{text}");
    }
}

#[tokio::test]
async fn a_mutation_over_get_is_not_executed() {
    let server = TestServer::start().await;
    let client = server.client();
    let get = |query: &str, name: &str| client.get(&[("query", query), ("operationName", name)]);
    for document in [
        "mutation { createSession { session { id } } }",
        "query Q { server { version } } mutation M { createSession { session { id } } }",
    ] {
        let name = if document.starts_with("query") {
            "M"
        } else {
            ""
        };
        let response = send(get(document, name)).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "POST");
    }
    let (status, answer) = body(get("{ sessions { nodes { id } } }", "")).await;
    assert_eq!(
        (status, &answer["data"]["sessions"]["nodes"]),
        (200, &json!([]))
    );
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = TestServer::start().await;
    let client = server.client();
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let response = send(client.request(method, "/graphql")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET, POST");
    }
    for path in ["/graphql/", "/api", "/..%2f..%2fetc%2fpasswd"] {
        let refused = refusal(body(client.request(Method::GET, path)).await);
        assert_eq!(refused, (404, "NOT_FOUND".to_owned()), "{path}");
    }
    let request = client.get(&[]);
    assert_eq!(
        refusal(body(request).await),
        (400, "BAD_REQUEST".to_owned())
    );
    let wrong = [("query", "{ server { version } }"), ("variables", "[1")];
    let request = client.get(&wrong);
    assert_eq!(
        refusal(body(request).await),
        (400, "BAD_REQUEST".to_owned())
    );
}

#[tokio::test]
async fn the_status_of_a_request_error_follows_the_media_type() {
    let server = TestServer::start().await;
    let client = server.client();
    for (accept, expected) in [
        ("application/json", 200),
        ("application/graphql-response+json", 400),
    ] {
        for document in [
            "{ nothing }",
            "{",
            "query A { server { version } } query B { viewer { owner } }",
        ] {
            let request = client.post(document, &json!({})).header("accept", accept);
            let response = send(request).await;
            assert_eq!(response.status(), expected, "{accept}: {document}");
            let content_type = format!("{accept}; charset=utf-8");
            assert_eq!(response.headers()["content-type"], content_type.as_str());
        }
    }
    let request = client
        .post("{ server { version } }", &json!({}))
        .header("accept", "text/html");
    assert_eq!(
        refusal(body(request).await),
        (406, "NOT_ACCEPTABLE".to_owned())
    );
    let subscription = "subscription { runEvents(runId: \"x\") { sequence } }";
    let request = client
        .post(subscription, &json!({}))
        .header("accept", "application/json");
    assert_eq!(
        refusal(body(request).await),
        (406, "NOT_ACCEPTABLE".to_owned())
    );
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let server = TestServer::start().await;
    let client = server.client();
    let own = send(query(&server).header("x-request-id", "mine-1.2_3")).await;
    assert_eq!(own.headers()["x-request-id"], "mine-1.2_3");
    for unsound in ["", "a b", "a/b", &"x".repeat(65)] {
        let answer = send(query(&server).header("x-request-id", unsound)).await;
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert!(id.len() == 32 && id != unsound, "{unsound:?}: {id}");
    }
    let lost = send(client.request(Method::GET, "/nowhere")).await;
    assert!(lost.headers().contains_key("x-request-id"));
}
