//! The proxies that the environment names, and their exceptions.
//!
//! The variables are those of curl (<https://curl.se/docs/manpage.html#ENVIRONMENT>):
//! `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, in lower case first. The HTTP client's
//! own parser does not apply `*` to addresses and does not support ports.

mod exceptions;

use std::fmt;
use std::sync::Arc;

use reqwest::{ClientBuilder, Proxy, Url};
use thiserror::Error;

use self::exceptions::Exceptions;

/// A variable of the environment that is not the URL of a proxy. Its value is not repeated, since
/// it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the variable {variable} must name a proxy as http://HOST:PORT or https://HOST:PORT; unset it, \
     or set models.proxy_from_env = false and tools.egress.proxy = \"off\""
)]
pub struct ProxyError {
    variable: &'static str,
}

/// The proxies by scheme, and the exceptions.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    except: Exceptions,
}

impl fmt::Debug for Proxies {
    // The URLs may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

impl Proxies {
    /// The proxies of this process's environment.
    ///
    /// # Errors When a variable is not the URL of a proxy.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::of(|name| std::env::var(name).ok())
    }

    /// The proxies of these variables.
    ///
    /// # Errors When one is not the URL of a proxy.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let first = |names: &[&'static str]| {
            let mut found = names
                .iter()
                .filter_map(|name| Some((*name, variable(name)?)));
            found.next()
        };
        let proxy = |names: &[&'static str]| match first(names) {
            Some((variable, value)) if !value.trim().is_empty() => {
                parse(value.trim()).map(Some).ok_or(ProxyError { variable })
            }
            _ => Ok(None),
        };
        let all = proxy(&["all_proxy", "ALL_PROXY"])?;
        // In a CGI server this variable is its client's `Proxy` header (CVE-2016-5385).
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http: &[&'static str] = match is_cgi {
            true => &["http_proxy"],
            false => &["http_proxy", "HTTP_PROXY"],
        };
        let except = first(&["no_proxy", "NO_PROXY"]);
        Ok(Self {
            http: proxy(http)?.or_else(|| all.clone()),
            https: proxy(&["https_proxy", "HTTPS_PROXY"])?.or(all),
            except: Exceptions::parse(&except.map(|(_, list)| list).unwrap_or_default()),
        })
    }

    /// Returns true if all URLs are reached without a proxy.
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The proxy for a URL; none when it is reached without.
    pub fn for_url(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme() {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        };
        proxy.filter(|_| !self.except.has(url))
    }

    /// Configures a client to use these proxies and no others.
    pub fn apply(self: &Arc<Self>, builder: ClientBuilder) -> ClientBuilder {
        let builder = builder.no_proxy();
        if self.is_empty() {
            return builder;
        }
        let proxies = Arc::clone(self);
        builder.proxy(Proxy::custom(move |url| proxies.for_url(url).cloned()))
    }
}

fn parse(value: &str) -> Option<Url> {
    let url = match value.contains("://") {
        true => Url::parse(value),
        false => Url::parse(&format!("http://{value}")),
    };
    let url = url.ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::of(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = proxies(variables).unwrap();
        let proxy = proxies.for_url(&Url::parse(url).unwrap());
        proxy.map(ToString::to_string)
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = [("HTTPS_PROXY", "https://s:1"), ("http_proxy", "p:2")];
        assert_eq!(of(&both, "https://x").as_deref(), Some("https://s:1/"));
        assert_eq!(of(&both, "http://x").as_deref(), Some("http://p:2/"));
        let all = [("ALL_PROXY", "http://a:1"), ("https_proxy", "http://s:1")];
        assert_eq!(of(&all, "http://x").as_deref(), Some("http://a:1/"));
        assert_eq!(of(&all, "https://x").as_deref(), Some("http://s:1/"));
        // Lower case first; an empty variable means no proxy.
        let cases = [("https_proxy", ""), ("HTTPS_PROXY", "http://s:1")];
        assert_eq!(of(&cases, "https://x"), None);
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil")];
        assert_eq!(of(&cgi, "http://x"), None);
        assert!(proxies(&[]).unwrap().is_empty());
    }

    #[test]
    fn invalid_proxy_is_refused_without_its_value() {
        for value in ["socks5://me:secret@h:1", "http://", "ftp://secret"] {
            let error = proxies(&[("ALL_PROXY", value)]).unwrap_err().to_string();
            assert!(
                error.contains("ALL_PROXY") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
