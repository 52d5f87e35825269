//! Secrets, which are never shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use talkgraph_domain::redact;
pub(in crate::config) use talkgraph_domain::redact::HIDDEN;

#[expect(clippy::ref_option, reason = "serde hands the field by reference")]
pub(in crate::config) fn hide<S: Serializer>(
    secret: &Option<SecretString>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(if secret.is_some() { HIDDEN } else { "" })
}

pub(in crate::config) fn hide_all<S: Serializer>(
    secrets: &[SecretString],
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_seq(secrets.iter().map(|_| HIDDEN))
}

/// Shows a database URL without its password.
pub(super) fn hide_password<S: Serializer>(url: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&redact::url(url.expose_secret()))
}

macro_rules! redacted {
    ($($(#[$doc:meta])* $name:ident by $shown:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text itself, secrets included.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(&format_args!("{self:?}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let shown: fn(&str) -> String = $shown;
                f.write_str(&shown(&self.0))
            }
        }
    )*};
}

redacted! {
    /// A URL that may contain a secret. Debug and serde show it without.
    UrlSetting by redact::url;
    /// An argument of a program that may be a secret. Debug and serde show the name of an
    /// option at most.
    ArgumentSetting by redact::argument;
    /// A text that may contain a secret. Debug and serde show nothing of it.
    HiddenSetting by |_| HIDDEN.to_owned();
}

unbounded!(UrlSetting, ArgumentSetting, HiddenSetting);

#[cfg(test)]
mod tests;
