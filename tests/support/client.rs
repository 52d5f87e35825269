//! A GraphQL client over HTTP.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use talkgraph_llm::{HttpSettings, http_client};

use super::multipart::Parts;
use super::sse::Events;
use super::wait::{PATIENCE, soon};
use super::websocket::Socket;

/// Somebody who asks a server.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    key: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(address: &str, key: Option<&str>) -> Self {
        Self {
            address: address.to_owned(),
            key: key.map(str::to_owned),
            http: http(),
        }
    }

    /// Where its server listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The same client for another server.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..self.clone()
        }
    }

    /// A request to a path, with the key if there is one.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("http://{}{path}", self.address));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// A POST of a GraphQL request that is not sent yet.
    pub(crate) fn post(&self, document: &str, variables: &Value) -> RequestBuilder {
        self.request(Method::POST, "/graphql")
            .json(&json!({ "query": document, "variables": variables }))
    }

    /// A GET of the endpoint with these parameters that is not sent yet.
    pub(crate) fn get(&self, parameters: &[(&str, &str)]) -> RequestBuilder {
        let query = serde_urlencoded::to_string(parameters).unwrap();
        self.request(Method::GET, &format!("/graphql?{query}"))
            .header("accept", "application/json")
    }

    /// The whole response of a query or mutation.
    pub(crate) async fn response(&self, document: &str, variables: &Value) -> Value {
        body(self.post(document, variables)).await.1
    }

    /// The data of a query or mutation that must succeed.
    pub(crate) async fn data(&self, document: &str, variables: &Value) -> Value {
        let mut response = self.response(document, variables).await;
        assert!(response.get("errors").is_none(), "{document}: {response}");
        response["data"].take()
    }

    /// The one error of a query or mutation that must fail.
    pub(crate) async fn error(&self, document: &str, variables: &Value) -> Value {
        let mut response = self.response(document, variables).await;
        assert_eq!(
            response["errors"].as_array().map(Vec::len),
            Some(1),
            "{document}: {response}"
        );
        response["errors"][0].take()
    }

    /// Any operation over Server-Sent Events.
    pub(crate) async fn events(&self, document: &str, variables: &Value) -> Events {
        let request = self
            .post(document, variables)
            .header("accept", "text/event-stream");
        let response = soon("an event stream", request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        Events::new(response)
    }

    /// A subscription over a multipart response, asked for as Apollo Client does.
    pub(crate) async fn parts(&self, document: &str, variables: &Value) -> Parts {
        let accept = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,\
                      application/graphql-response+json,application/json;q=0.9";
        let request = self.post(document, variables).header("accept", accept);
        parts(request).await
    }

    /// A WebSocket that is ready for operations.
    pub(crate) async fn socket(&self) -> Socket {
        let mut socket = Socket::connect(&self.address).await;
        socket.init(self.key.as_deref()).await;
        socket
    }
}

/// Sends a request that is answered with a multipart response.
pub(crate) async fn parts(request: RequestBuilder) -> Parts {
    let response = soon("a multipart response", request.send()).await.unwrap();
    assert_eq!(response.status(), 200);
    Parts::new(response)
}

/// Sends a request; its status and its body as JSON.
pub(crate) async fn body(request: RequestBuilder) -> (u16, Value) {
    let response = send(request).await;
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text);
    (
        status,
        body.unwrap_or_else(|error| panic!("{error}: {text}")),
    )
}

/// Sends a request.
pub(crate) async fn send(request: RequestBuilder) -> Response {
    request.timeout(PATIENCE).send().await.unwrap()
}

/// Makes a new pool each time, because a pool belongs to the runtime of its test.
pub(crate) fn http() -> reqwest::Client {
    let client = http_client(&HttpSettings {
        connect_timeout: PATIENCE,
        proxies: std::sync::Arc::default(),
    });
    client.unwrap()
}
