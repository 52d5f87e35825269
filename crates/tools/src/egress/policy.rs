//! The policy: which URLs and addresses may be reached.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;
use url::{Host, Url};

use super::address::{canonical, is_public};

/// The addresses and ports that may be reached in addition to the public internet.
#[derive(Debug, Clone)]
pub struct EgressPolicy {
    allow: Vec<Allowed>,
    /// Every port when empty.
    ports: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Network(IpNet),
    /// A host name in lower case. Any address that it resolves to is allowed.
    Host(String),
}

/// The reason why a URL is refused. Safe to report: it reveals no more than the URL did.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Neither http nor https.
    #[error("only http and https URLs are allowed, not {0}")]
    Scheme(String),
    /// The URL has a user name or password.
    #[error("a URL must not have a user name or a password")]
    Credentials,
    /// There is no host to connect to.
    #[error("the URL has no host")]
    NoHost,
    /// Not one of the ports.
    #[error("port {0} is not allowed")]
    Port(u16),
    /// Not an address of the public internet.
    #[error(
        "{0} is not on the public internet, or not allowed: loopback, private, link-local and \
         reserved addresses are refused"
    )]
    Address(String),
}

impl EgressPolicy {
    /// Reads the list of what is allowed: addresses, networks such as `10.0.0.0/8`, and host
    /// names. `ports` lists the ports that may be connected to; every port when empty.
    ///
    /// # Errors
    /// With what is wrong with the first entry that is none of these.
    pub fn new(allow: &[String], ports: &[u16]) -> Result<Self, String> {
        Ok(Self {
            allow: allow
                .iter()
                .map(|entry| allowed(entry))
                .collect::<Result<_, _>>()?,
            ports: ports.to_vec(),
        })
    }

    /// The same policy with the host and port of one URL allowed, and no other port.
    pub(crate) fn with_origin(&self, url: &Url) -> Self {
        let mut policy = self.clone();
        match url.host() {
            Some(Host::Domain(name)) => policy.allow.push(Allowed::Host(name.to_lowercase())),
            Some(Host::Ipv4(v4)) => policy.allow.push(Allowed::Network(IpAddr::V4(v4).into())),
            Some(Host::Ipv6(v6)) => policy.allow.push(Allowed::Network(IpAddr::V6(v6).into())),
            None => {}
        }
        policy.ports = url.port_or_known_default().into_iter().collect();
        policy
    }

    /// Checks a URL before anything is connected to. A host that is a name is judged when it is
    /// resolved.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let port = url.port_or_known_default().ok_or(Refusal::NoHost)?;
        if !self.ports.is_empty() && !self.ports.contains(&port) {
            return Err(Refusal::Port(port));
        }
        // The URL parser has normalised `0x7f.1`, `017700000001` and `2130706433` to addresses.
        match url.host().ok_or(Refusal::NoHost)? {
            Host::Domain(_) => Ok(()),
            Host::Ipv4(v4) => self.check_address(&v4.to_string(), v4.into()),
            Host::Ipv6(v6) => self.check_address(&v6.to_string(), v6.into()),
        }
    }

    /// Judges an address that `host` is or has.
    pub(super) fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let address = canonical(address);
        // A name may be written with the dot of the root, which means the same.
        let name = host.trim_end_matches('.');
        let is_allowed = self.allow.iter().any(|allowed| match allowed {
            Allowed::Network(network) => network.contains(&address),
            Allowed::Host(allowed) => allowed.eq_ignore_ascii_case(name),
        });
        if is_allowed || is_public(address) {
            return Ok(());
        }
        Err(Refusal::Address(host.to_owned()))
    }
}

fn allowed(entry: &str) -> Result<Allowed, String> {
    if let Ok(network) = entry.parse::<IpNet>() {
        return Ok(Allowed::Network(network));
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Ok(Allowed::Network(canonical(address).into()));
    }
    match Host::parse(entry) {
        Ok(Host::Domain(name)) if is_plain(entry) => Ok(Allowed::Host(name)),
        _ => Err(format!(
            "{entry:?} is neither an address, nor a network such as 10.0.0.0/8, nor a host name"
        )),
    }
}

/// Returns true for a name of letters, digits, dots, `-` and `_`: patterns are not supported.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], ports: &[u16]) -> EgressPolicy {
        let allow: Vec<_> = allow.iter().map(|&entry| entry.to_owned()).collect();
        EgressPolicy::new(&allow, ports).unwrap()
    }

    fn check(policy: &EgressPolicy, url: &str) -> Result<(), Refusal> {
        policy.check_url(&Url::parse(url).unwrap())
    }

    #[test]
    fn every_way_to_write_a_refused_address_is_refused() {
        let policy = policy(&[], &[]);
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://0/",
            "http://0.0.0.0/",
            "http://%31%32%37.0.0.1/",
            "http://１２７.０.０.１/",
            "http://①②⑦.0.0.1/",
            "http://127。0。0。1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://[::1]/",
            "http://[::]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[ff02::1]/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "https://127.0.0.1/",
        ] {
            let refused = check(&policy, url);
            assert!(
                matches!(refused, Err(Refusal::Address(_))),
                "{url}: {refused:?}"
            );
        }
    }

    #[test]
    fn only_http_schemes_and_ports_are_allowed() {
        let policy = policy(&[], &[80, 443]);
        assert_eq!(check(&policy, "https://example.com/a?b"), Ok(()));
        assert_eq!(check(&policy, "http://8.8.8.8/"), Ok(()));
        for (url, refusal) in [
            ("ftp://example.com/", Refusal::Scheme("ftp".to_owned())),
            ("file:///etc/passwd", Refusal::Scheme("file".to_owned())),
            (
                "gopher://example.com:70/",
                Refusal::Scheme("gopher".to_owned()),
            ),
            ("data:text/plain,x", Refusal::Scheme("data".to_owned())),
            ("http://me@example.com/", Refusal::Credentials),
            ("http://me:secret@example.com/", Refusal::Credentials),
            ("http://example.com:22/", Refusal::Port(22)),
            ("https://example.com:6379/", Refusal::Port(6379)),
        ] {
            assert_eq!(check(&policy, url), Err(refusal), "{url}");
        }
    }

    #[test]
    fn listed_hosts_are_allowed() {
        let policy = policy(
            &["10.0.0.0/8", "fd12::/16", "127.0.0.1", "Intranet.example"],
            &[],
        );
        for url in [
            "http://10.1.2.3/",
            "http://[fd12::1]/",
            "http://[::ffff:10.1.2.3]/",
            "http://127.1/",
        ] {
            assert_eq!(check(&policy, url), Ok(()), "{url}");
        }
        for url in [
            "http://192.168.0.1/",
            "http://127.0.0.2/",
            "http://[fd13::1]/",
        ] {
            assert!(check(&policy, url).is_err(), "{url}");
        }
        let private = IpAddr::from([192, 168, 0, 1]);
        for (host, is_allowed) in [
            ("intranet.example", true),
            ("INTRANET.example.", true),
            ("x.intranet.example", false),
            ("intranet.example.com", false),
        ] {
            assert_eq!(
                policy.check_address(host, private).is_ok(),
                is_allowed,
                "{host}"
            );
        }
    }

    #[test]
    fn invalid_entries_are_refused() {
        for entry in ["", "10.0.0.0/33", "http://x", "x/y", "a b", "*", "10.1"] {
            let refused = EgressPolicy::new(&[entry.to_owned()], &[]);
            assert!(refused.is_err(), "{entry}");
        }
    }
}
