//! The names under which the server is addressed. A page of another site can have its own name
//! resolve to this machine (DNS rebinding), which makes the server part of its site for the
//! browser. Such a page cannot change the `Host` header of its requests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;

/// The host names that requests may use.
#[derive(Debug, Clone)]
pub struct Hosts(Arc<[String]>);

/// The maximum length of a name repeated in a refusal, in bytes.
const SHOWN_BYTES: usize = 255;

impl Hosts {
    /// Accepts these names: lower case, without port and final dot; IPv6 addresses in brackets.
    ///
    /// # Errors
    ///
    /// Returns the first invalid name.
    pub fn new(names: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let names = names.into_iter().map(|name| {
            let is_bare = host(&name).is_some_and(|host| host == name);
            if is_bare { Ok(name) } else { Err(name) }
        });
        Ok(Self(names.collect::<Result<_, _>>()?))
    }

    /// Checks all names of a request: the `Host` header and, in HTTP/2 and absolute URLs, the
    /// authority of the URL.
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let mut headers = request.headers().get_all(header::HOST).iter();
        let header = headers.next();
        if headers.next().is_some() {
            return Err(Refusal::BadRequest(
                "the request has several Host headers; send one".to_owned(),
            ));
        }
        let url = request.uri().authority().map(Authority::as_str);
        let header = header.map(|header| header.to_str().unwrap_or_default());
        if url.is_none() && header.is_none() {
            return Err(Refusal::BadRequest(
                "the request has no Host header; send one".to_owned(),
            ));
        }
        url.into_iter()
            .chain(header)
            .try_for_each(|name| match host(name) {
                Some(host) if self.0.contains(&host) => Ok(()),
                Some(mut host) => {
                    host.truncate(host.floor_char_boundary(SHOWN_BYTES));
                    Err(Refusal::Host { host })
                }
                None => Err(Refusal::BadRequest(
                    "the Host header is not a valid host name".to_owned(),
                )),
            })
    }
}

/// Returns the name in `name:port`, in lower case and without a final dot.
fn host(authority: &str) -> Option<String> {
    if authority.contains('@') {
        return None;
    }
    let authority: Authority = authority.parse().ok()?;
    let host = authority.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Rejects requests to other hosts, for every path.
pub(super) async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_without_its_port() {
        for (authority, expected) in [
            ("localhost", Some("localhost")),
            ("LocalHost.:8080", Some("localhost")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("[::1]:8080", Some("[::1]")),
            ("localhost@evil.test", None),
            ("", None),
            (":8080", None),
            (".", None),
            ("a b", None),
            ("localhost/evil.test", None),
        ] {
            assert_eq!(host(authority).as_deref(), expected, "{authority}");
        }
        assert!(Hosts::new(["localhost:80".to_owned()]).is_err());
    }
}
