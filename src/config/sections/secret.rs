//! How secrets are shown: not at all.

use secrecy::{ExposeSecret, SecretString};
use serde::Serializer;

use super::StoreSettings;

/// Stands for a secret.
pub(super) const HIDDEN: &str = "(hidden)";

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

/// A database URL is worth showing, its password is not.
pub(super) fn hide_password<S: Serializer>(url: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&without_password(url))
}

fn without_password(url: &SecretString) -> String {
    let url = url.expose_secret();
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{HIDDEN}@{host}"),
        _ => url.to_owned(),
    }
}

impl StoreSettings {
    /// Where the database is, without its password.
    pub(crate) fn shown_url(&self) -> String {
        without_password(&self.url)
    }
}
