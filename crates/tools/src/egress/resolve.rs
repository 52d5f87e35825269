//! Name resolution for connections, with each address judged at once.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::policy::EgressPolicy;

/// Resolves names.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of `host`, in the order in which they are to be tried.
    ///
    /// # Errors When the name is unknown or no resolver can be reached.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

type Fault = Box<dyn Error + Send + Sync>;

/// Passes to the HTTP client only addresses that may be reached. It connects to exactly these, so a
/// name that resolves differently the next time gains nothing.
#[derive(Clone)]
pub(super) struct GuardedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) policy: Arc<EgressPolicy>,
}

impl GuardedResolver {
    /// The addresses of a name that may be reached; a refusal if it has no such address.
    pub(super) async fn judged(&self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in self.lookup.lookup(host).await? {
            match self.policy.check_address(host, address) {
                Ok(()) => allowed.push(address),
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) if allowed.is_empty() => Err(refusal.into()),
            _ => Ok(allowed),
        }
    }

    /// The address, if it may be reached.
    pub(super) fn judged_address(&self, address: IpAddr) -> Result<Vec<IpAddr>, Fault> {
        self.policy.check_address(&address.to_string(), address)?;
        Ok(vec![address])
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let allowed = resolver.judged(name.as_str()).await?;
            // The port is the URL's.
            let allowed = allowed
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(allowed) as Addrs)
        })
    }
}
