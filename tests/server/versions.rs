//! HTTP/1.1 and HTTP/2, told apart by what a connection begins with.

use axum::http::Version;
use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::server::TestServer;
use crate::support::wait::soon;

#[tokio::test]
async fn both_versions_are_spoken() {
    let server = TestServer::start().await;
    let url = format!("http://{}/health/live", server.address);
    let builder = || Client::builder().no_proxy();
    for (client, version) in [
        (builder().http1_only(), Version::HTTP_11),
        (builder().http2_prior_knowledge(), Version::HTTP_2),
    ] {
        let client = client.build().unwrap();
        for _ in 0..2 {
            let answer = soon("an answer", client.get(&url).send()).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        }
    }
}

/// Also a method that begins as HTTP/2 does, and one that comes a byte at a time.
#[tokio::test]
async fn a_method_may_begin_like_the_other_version() {
    let server = TestServer::start().await;
    for (method, status) in [("GET", "200"), ("POST", "405"), ("PROPFIND", "405")] {
        let mut connection = TcpStream::connect(&server.address).await.unwrap();
        connection.set_nodelay(true).unwrap();
        let request = format!(
            "{method} /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        );
        for byte in request.bytes() {
            connection.write_all(&[byte]).await.unwrap();
        }
        let mut answer = String::new();
        let read = connection.read_to_string(&mut answer);
        soon("an answer", read).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}
