//! `NO_PROXY`: the hosts that are reached without a proxy.

use std::net::IpAddr;

use ipnet::IpNet;
use reqwest::Url;
use url::Host;

/// The entries of the list.
///
/// The syntax is curl's (<https://curl.se/libcurl/c/CURLOPT_NOPROXY.html>): entries are separated
/// by commas or blanks; `*` matches all hosts; a name matches itself and all its subdomains, with
/// or without a leading dot; addresses and networks (`10.0.0.0/8`) are compared as such. A port
/// after an entry restricts it to that port, as in Go and others.
#[derive(Debug, Clone, Default)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug, Clone)]
struct Exception {
    what: What,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Everything,
    Network(IpNet),
    /// A name in lower case, without dots at its ends.
    Name(String),
}

impl Exceptions {
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t', '\n', '\r']);
        Self(entries.filter_map(Exception::parse).collect())
    }

    /// Returns true if a URL is reached without a proxy.
    pub(super) fn has(&self, url: &Url) -> bool {
        let (host, port) = (url.host(), url.port_or_known_default());
        self.0.iter().any(|exception| {
            let is_port = exception.port.is_none_or(|wanted| Some(wanted) == port);
            is_port && exception.what.is(host.as_ref())
        })
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry.is_empty() {
            return None;
        }
        if let Some(what) = What::parse(entry) {
            return Some(Self { what, port: None });
        }
        let (host, port) = entry.rsplit_once(':')?;
        let port = Some(port.parse().ok()?);
        What::parse(host).map(|what| Self { what, port })
    }
}

impl What {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::Everything);
        }
        let bare = entry
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let bare = bare.unwrap_or(entry);
        if let Ok(network) = bare.parse::<IpNet>() {
            return Some(Self::Network(network));
        }
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self::Network(address.into()));
        }
        let name = bare.trim_start_matches("*.").trim_matches('.');
        match Host::parse(name) {
            Ok(Host::Domain(name)) => Some(Self::Name(name)),
            _ => None,
        }
    }

    fn is(&self, host: Option<&Host<&str>>) -> bool {
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Network(network), Some(Host::Ipv4(address))) => {
                network.contains(&IpAddr::V4(*address))
            }
            (Self::Network(network), Some(Host::Ipv6(address))) => {
                network.contains(&IpAddr::V6(*address))
            }
            (Self::Name(name), Some(Host::Domain(host))) => {
                let host = host.trim_end_matches('.');
                let above = host.strip_suffix(name.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exceptions_are_read_as_curl_reads_them() {
        for (list, url, is_without) in [
            ("*", "http://127.0.0.1:9/v1", true),
            ("*", "https://api.example.com/", true),
            ("*", "http://[::1]/", true),
            ("a, * ,b", "http://10.0.0.1/", true),
            ("example.com", "https://example.com/", true),
            ("example.com", "https://EXAMPLE.com./", true),
            ("example.com", "https://api.example.com:8443/", true),
            ("example.com", "https://notexample.com/", false),
            ("example.com", "https://example.com.evil/", false),
            (".example.com", "https://api.example.com/", true),
            (".example.com", "https://example.com/", true),
            ("*.example.com", "https://api.example.com/", true),
            ("Example.COM.", "https://api.example.com/", true),
            ("localhost 127.0.0.1", "http://127.0.0.1:1/", true),
            ("localhost", "http://127.0.0.1/", false),
            ("127.0.0.1", "http://127.0.0.2/", false),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("10.0.0.0/8", "http://10.example.com/", false),
            ("::1", "http://[::1]:80/", true),
            ("[::1]", "http://[::1]/", true),
            ("fd00::/8", "http://[fd12::1]/", true),
            ("0.0.0.1", "http://0x1/", true),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:8443", "https://example.com/", false),
            ("127.0.0.1:80", "http://127.0.0.1/", true),
            ("[::1]:80", "http://[::1]/", true),
            ("", "http://x/", false),
            (",,", "http://x/", false),
        ] {
            let found = Exceptions::parse(list).has(&Url::parse(url).unwrap());
            assert_eq!(found, is_without, "{list}: {url}");
        }
    }

    proptest! {
        #[test]
        fn no_exception_list_panics(list in ".{0,60}") {
            Exceptions::parse(&list).has(&Url::parse("http://x.example:1/").unwrap());
        }
    }
}
