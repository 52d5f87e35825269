//! Connections through the environment's proxies, with the guard in force.
//!
//! A proxy that is asked for a name resolves it itself, and may find another address than the one
//! that was judged. So it is asked for the judged address (`CONNECT 93.184.215.14:443`), for http
//! as well as https; the name goes into the TLS handshake and the `Host` header as always.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Body;
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;
use url::{Host, Url};

use super::client::refusal_in;
use super::resolve::GuardedResolver;
use talkgraph_proxy::Proxies;

type Fault = Box<dyn Error + Send + Sync>;

/// A connection to a server, or to a proxy on the way there.
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Idle connections kept for each host, and for how long.
const IDLE_CONNECTIONS_PER_HOST: usize = 4;
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;

const NO_ADDRESS: &str = "the name has no address";

/// The form of target that a proxy is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyTarget {
    /// The judged address.
    Address,
    /// The name, which the proxy resolves and has to judge itself.
    Name,
}

/// An HTTP client whose every connection passes the guard, and a proxy where there is one.
pub(super) type ProxiedClient = Client<HttpsConnector<GuardedConnector>, Body>;

/// Makes the client.
///
/// # Errors
/// When the platform's certificate roots cannot be loaded.
pub(super) fn client(connector: GuardedConnector) -> Result<ProxiedClient, rustls::Error> {
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls()?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .pool_timer(hyper_util::rt::TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST);
    Ok(builder.build(https))
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder().with_platform_verifier()?;
    Ok(builder.with_no_client_auth())
}

/// Connects to the targets that the policy allows.
#[derive(Clone)]
pub(super) struct GuardedConnector {
    proxies: Arc<Proxies>,
    target: ProxyTarget,
    resolver: GuardedResolver,
    /// Connects to proxies and, without one, to servers: its target is an address, or the proxy
    /// that the operator names.
    plain: HttpsConnector<HttpConnector>,
    connect_timeout: Duration,
}

impl GuardedConnector {
    pub(super) fn new(
        proxies: Arc<Proxies>,
        target: ProxyTarget,
        resolver: GuardedResolver,
        connect_timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let plain = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self {
            proxies,
            target,
            resolver,
            plain,
            connect_timeout,
        })
    }

    async fn connect(self, dst: Uri) -> Result<Stream, Fault> {
        let url = Url::parse(&dst.to_string())?;
        let port = url.port_or_known_default().ok_or("the URL has no port")?;
        let found = self.addresses(&url).await;
        let Some(proxy) = self.proxies.for_url(&url) else {
            return self.directly(&targets(&found?, port)?).await;
        };
        let targets = match (self.target, found) {
            (ProxyTarget::Address, found) => targets(&found?, port)?,
            // A network with proxies may not resolve names of the internet itself.
            (ProxyTarget::Name, Err(error)) if refusal_in(&*error).is_some() => return Err(error),
            (ProxyTarget::Name, _) => {
                let host = dst.host().ok_or("the URL has no host")?;
                vec![format!("http://{host}:{port}/").parse()?]
            }
        };
        // The matcher splits a proxy's URL into its address and its credentials.
        let matcher = Matcher::builder().all(proxy.as_str()).build();
        let proxy = matcher.intercept(&dst).ok_or("the proxy cannot be used")?;
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.plain);
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let mut failed = Fault::from(NO_ADDRESS);
        for target in targets {
            match tunnel.call(target).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }

    /// The addresses of a URL's host that the policy allows, at least one.
    async fn addresses(&self, url: &Url) -> Result<Vec<IpAddr>, Fault> {
        match url.host() {
            Some(Host::Domain(name)) => self.resolver.judged(name).await,
            Some(Host::Ipv4(v4)) => self.resolver.judged_address(v4.into()),
            Some(Host::Ipv6(v6)) => self.resolver.judged_address(v6.into()),
            None => Err("the URL has no host".into()),
        }
    }

    async fn directly(mut self, targets: &[Uri]) -> Result<Stream, Fault> {
        let mut failed = Fault::from(NO_ADDRESS);
        for target in targets {
            // TLS is the matter of the connector around this one.
            match self.plain.call(target.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = Stream;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, dst: Uri) -> Self::Future {
        let (connector, limit) = (self.clone(), self.connect_timeout);
        Box::pin(async move {
            let connected = timeout(limit, connector.connect(dst)).await;
            connected.unwrap_or_else(|_| Err("no connection in time".into()))
        })
    }
}

/// The targets of connections to addresses, in their order. The scheme is http: the caller does the
/// TLS.
fn targets(addresses: &[IpAddr], port: u16) -> Result<Vec<Uri>, Fault> {
    let addresses = addresses.iter().take(MOST_ADDRESSES);
    let targets = addresses.map(|address| {
        let address = SocketAddr::new(*address, port);
        Ok(format!("http://{address}/").parse()?)
    });
    targets.collect()
}
