//! Bodies of requests that are compressed.

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::client::send;
use crate::support::server::{Setup, TestServer};

async fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

/// The status and the body of the answer to a body in this coding.
async fn posted(server: &TestServer, coding: &str, body: Vec<u8>) -> (u16, Value) {
    let request = server.client().request(Method::POST, "/graphql");
    let request = request
        .header("content-type", "application/json")
        .header("content-encoding", coding)
        .body(body);
    let response = send(request).await;
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    let server = TestServer::start().await;
    let text = json!({ "query": "{ viewer { owner } }" }).to_string();
    let mut deflate = ZlibEncoder::new(Vec::new());
    deflate.write_all(text.as_bytes()).await.unwrap();
    deflate.shutdown().await.unwrap();
    let mut brotli = BrotliEncoder::new(Vec::new());
    brotli.write_all(text.as_bytes()).await.unwrap();
    brotli.shutdown().await.unwrap();
    // A body may be of several members.
    let (first, second) = text.as_bytes().split_at(10);
    let members = [gzip(first).await, gzip(second).await].concat();
    for (coding, body) in [
        ("gzip", gzip(text.as_bytes()).await),
        ("X-GZIP", gzip(text.as_bytes()).await),
        ("gzip", members),
        ("deflate", deflate.into_inner()),
        ("br", brotli.into_inner()),
        ("identity", text.clone().into_bytes()),
    ] {
        let (status, answer) = posted(&server, coding, body).await;
        assert_eq!(status, 200, "{coding}: {answer}");
        assert!(answer["data"]["viewer"]["owner"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn a_body_is_decompressed_as_far_as_its_limit() {
    let server = Setup::new()
        .set("http.body_limit_bytes", 65_536)
        .start()
        .await;
    let text = json!({ "query": format!("{{ viewer {{ owner }} }} #{}", " ".repeat(60_000)) });
    let (status, answer) = posted(&server, "gzip", gzip(text.to_string().as_bytes()).await).await;
    assert_eq!(status, 200, "{answer}");
    let bomb = gzip(&vec![b' '; 40_000_000]).await;
    assert!(bomb.len() < 65_536);
    let (status, answer) = posted(&server, "gzip", bomb).await;
    assert_eq!(status, 413, "{answer}");
    let whole = gzip(text.to_string().as_bytes()).await;
    for (coding, body, status, code) in [
        (
            "gzip",
            whole[..whole.len() / 2].to_vec(),
            400,
            "BAD_REQUEST",
        ),
        ("gzip", b"{}".to_vec(), 400, "BAD_REQUEST"),
        ("compress", whole.clone(), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("gzip, gzip", whole, 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let (found, answer) = posted(&server, coding, body).await;
        assert_eq!(found, status, "{coding}: {answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
    }
}
