//! The names under which a server may be addressed. A page whose name resolves to this machine is
//! no page of this server.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::process::{program, run};
use crate::support::server::{Setup, TestServer};
use crate::support::wait::soon;

/// The status and the body of a request whose head has these lines behind the request line.
async fn ask(server: &TestServer, line: &str, headers: &str, content: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(&server.address).await.unwrap();
    let request = format!("{line}\r\n{headers}connection: close\r\n\r\n{content}");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = connection.read_to_string(&mut answer);
    soon("an answer", read).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

async fn status(server: &TestServer, headers: &str) -> u16 {
    let line = "GET /health/live HTTP/1.1";
    ask(server, line, headers, "").await.0
}

#[tokio::test]
async fn without_keys_only_this_machine_is_served() {
    let server = TestServer::start().await;
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    for host in ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "[::1]"] {
        assert_eq!(
            status(&server, &format!("host: {host}\r\n")).await,
            200,
            "{host}"
        );
        let with_port = format!("host: {host}:{port}\r\n");
        assert_eq!(status(&server, &with_port).await, 200, "{host}");
    }
    for (headers, expected) in [
        ("host: evil.test\r\n", 421),
        ("host: evil.test:8080\r\n", 421),
        ("host: app.localhost\r\n", 421),
        ("host: localhost.evil.test\r\n", 421),
        ("host: 127.0.0.1.evil.test\r\n", 421),
        ("host: 0.0.0.0\r\n", 421),
        ("host: 2130706433\r\n", 421),
        ("host: localhost@evil.test\r\n", 400),
        ("host: \r\n", 400),
        ("host: :8080\r\n", 400),
        ("", 400),
        ("host: localhost\r\nhost: localhost\r\n", 400),
        ("host: localhost\r\nhost: evil.test\r\n", 400),
    ] {
        assert_eq!(status(&server, headers).await, expected, "{headers}");
    }
    // The name in the URL counts as well as the header.
    for (url, host, expected) in [
        ("http://localhost/health/live", "localhost", 200),
        ("http://evil.test/health/live", "localhost", 421),
        ("http://localhost/health/live", "evil.test", 421),
    ] {
        let line = format!("GET {url} HTTP/1.1");
        let (status, _) = ask(&server, &line, &format!("host: {host}\r\n"), "").await;
        assert_eq!(status, expected, "{url} {host}");
    }
}

/// Every path and every transport, with what a page of that name would send.
#[tokio::test]
async fn another_name_is_refused_everywhere() {
    let server = TestServer::start().await;
    let query = "%7Bviewer%7Bowner%7D%7D";
    let json = "content-type: application/json\r\ncontent-length: 33\r\n";
    let post = r#"{"query":"{ viewer { owner } }"}  "#;
    let socket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                  sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  sec-websocket-protocol: graphql-transport-ws\r\n";
    let cases = [
        ("GET / HTTP/1.1", "", ""),
        ("GET /health/ready HTTP/1.1", "", ""),
        ("GET /schema.graphql HTTP/1.1", "", ""),
        ("GET /nothing HTTP/1.1", "", ""),
        ("POST /graphql HTTP/1.1", json, &post[..33]),
        ("GET /graphql HTTP/1.1", socket, ""),
        (
            "OPTIONS /graphql HTTP/1.1",
            "access-control-request-method: POST\r\n",
            "",
        ),
    ];
    let get = format!("GET /graphql?query={query} HTTP/1.1");
    let events = ("accept: text/event-stream\r\n", "");
    let gets = [
        (get.as_str(), "accept: application/json\r\n", ""),
        (&get, events.0, ""),
    ];
    for (line, headers, content) in cases.into_iter().chain(gets) {
        let head = format!("host: evil.test\r\norigin: http://evil.test\r\n{headers}");
        let (status, body) = ask(&server, line, &head, content).await;
        assert_eq!(status, 421, "{line}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let message = body["errors"][0]["message"].as_str().unwrap();
        for word in ["evil.test", "http.hosts"] {
            assert!(message.contains(word), "{message}");
        }
    }
    // HTTP/2 has the name in the URL.
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let address = server.address.parse().unwrap();
    let client = client.resolve("evil.test", address).build().unwrap();
    let port = address.port();
    for (host, expected) in [("evil.test", 421), ("127.0.0.1", 200)] {
        let request = client.get(format!("http://{host}:{port}/health/live"));
        assert_eq!(
            soon("an answer", request.send()).await.unwrap().status(),
            expected
        );
    }
}

#[tokio::test]
async fn more_names_are_a_setting() {
    let setup = || Setup::new().set("http.hosts", "talk.example.com,other.example.com");
    let keyed = |setup: Setup| setup.key("ann's", "acme", "ann");
    for setup in [setup(), keyed(setup())] {
        let server = setup.start().await;
        for (host, expected) in [
            ("talk.example.com", 200),
            ("OTHER.example.com.:443", 200),
            ("localhost", 200),
            ("evil.test", 421),
        ] {
            assert_eq!(
                status(&server, &format!("host: {host}\r\n")).await,
                expected,
                "{host}"
            );
        }
    }
    // With keys any name will do where none is listed.
    let server = keyed(Setup::new()).start().await;
    assert_eq!(status(&server, "host: talk.example.com\r\n").await, 200);

    let folder = tempfile::tempdir().unwrap();
    for wrong in ["https://a.example", "a.example:80", "a b", ""] {
        let wrong = format!("{wrong},b.example");
        let settings = [("http.hosts", wrong.as_str())];
        let refused = run(program(folder.path(), &[], &settings)).await;
        assert_eq!(refused.code, 1, "{wrong}");
        assert!(refused.stderr.contains("http.hosts"), "{}", refused.stderr);
    }
}
