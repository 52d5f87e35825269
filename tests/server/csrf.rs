//! What another site's page could make a browser send is refused.

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::support::client::send;
use crate::support::server::{Setup, TestServer};

const QUERY: &str = "/graphql?query=%7Bviewer%7Bowner%7D%7D";

async fn get(server: &TestServer, headers: &[(&'static str, &str)]) -> u16 {
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.insert(*name, value.parse().unwrap());
    }
    let request = server.client().request(Method::GET, QUERY).headers(all);
    send(request).await.status().as_u16()
}

#[tokio::test]
async fn a_get_that_needs_no_preflight_is_refused() {
    let server = TestServer::start().await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let cases: [(&[(&str, &str)], u16); 16] = [
        // A link, an image, a script element, a form.
        (&[("accept", browser)], 403),
        (&[("accept", "image/*,*/*;q=0.8")], 403),
        (&[("accept", "*/*"), ("sec-fetch-mode", "no-cors")], 403),
        (&[("accept", "*/*"), ("sec-fetch-mode", "navigate")], 403),
        (
            &[
                ("accept", "*/*"),
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
        (&[("accept", "*/*"), ("content-type", "text/plain")], 403),
        (
            &[
                ("accept", "application/json"),
                ("origin", "https://evil.example"),
            ],
            403,
        ),
        // A page asks for JSON without CORS, and says that it does not want to read the answer.
        (
            &[
                ("accept", "application/json"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
        (
            &[
                ("accept", "application/json"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-site", "same-site"),
            ],
            403,
        ),
        (
            &[
                ("accept", "text/event-stream"),
                ("sec-fetch-site", "cross-site"),
                ("graphql-require-preflight", "1"),
            ],
            403,
        ),
        (
            &[
                ("accept", "application/json"),
                ("sec-fetch-site", "same-origin"),
            ],
            200,
        ),
        // Clients.
        (&[("accept", "application/json")], 200),
        (&[("accept", "application/graphql-response+json")], 200),
        (
            &[("accept", "*/*"), ("graphql-require-preflight", "1")],
            200,
        ),
        (&[("accept", "*/*"), ("x-apollo-operation-name", "Q")], 200),
        (&[("accept", "*/*"), ("sec-fetch-mode", "cors")], 200),
    ];
    for (headers, expected) in cases {
        assert_eq!(get(&server, headers).await, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask() {
    let origin = "https://app.example.com";
    let server = Setup::new().set("http.cors_origins", origin).start().await;
    let headers = [("accept", "application/json"), ("origin", origin)];
    assert_eq!(get(&server, &headers).await, 200);
    for site in ["cross-site", "same-site"] {
        let headers = [headers[0], headers[1], ("sec-fetch-site", site)];
        assert_eq!(get(&server, &headers).await, 200, "{site}");
    }

    let preflight = |origin: &'static str| {
        let client = server.client();
        let request = client
            .request(Method::OPTIONS, "/graphql")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,authorization",
            );
        async move { send(request).await.headers().clone() }
    };
    let allowed = preflight("https://app.example.com").await;
    assert_eq!(allowed["access-control-allow-origin"], origin);
    let refused = preflight("https://evil.example").await;
    assert!(!refused.contains_key("access-control-allow-origin"));
    // A page may not read what the server says to another origin.
    let request = server.client().get(&[("query", "{ viewer { owner } }")]);
    let answer = send(request.header("origin", origin)).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], origin);
    assert!(
        answer.headers()["vary"]
            .to_str()
            .unwrap()
            .contains("origin")
    );
}
