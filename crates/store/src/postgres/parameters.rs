//! The URL of a database.

use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::StoreError;
use talkgraph_domain::redact;

/// The parameters that the driver supports. It logs any other with its value, which may be a
/// secret.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Reads the URL of a database. Unknown parameters are logged by name and left out.
///
/// # Errors Fails if it is not a URL or a parameter has an invalid value; the error shows no value.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let unreadable = |why: &str| {
        StoreError::Internal(format!(
            "the PostgreSQL URL cannot be read: {why}; it must be \
             postgres://USER:PASSWORD@HOST:PORT/DATABASE, with reserved characters of the \
             password percent-encoded"
        ))
    };
    let mut url = Url::parse(url).map_err(|error| unreadable(&error.to_string()))?;
    let (known, unknown): (Vec<_>, Vec<_>) = url
        .query_pairs()
        .into_owned()
        .partition(|(name, _)| is_known(name));
    for (name, _) in &unknown {
        let parameter = redact::name(name);
        tracing::warn!(parameter, "unknown parameter of the database URL ignored");
    }
    if !unknown.is_empty() {
        url.query_pairs_mut().clear().extend_pairs(known);
    }
    let parsed = url.as_str().parse();
    parsed.map_err(|_| unreadable("a part of it has no valid value"))
}

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || name.starts_with("options[")
}

#[cfg(test)]
mod tests {
    use super::options;

    #[test]
    fn no_error_shows_a_value() {
        for url in [
            "postgres://db/talk?sslmode=CANARY",
            "postgres://db/talk?port=CANARY",
            "postgres://me:CANARY@db:port/talk",
            "postgres://me:CANARY/x@db/talk",
        ] {
            let error = options(url).unwrap_err().to_string();
            assert!(!error.contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn known_parameters_are_kept() {
        let url = "postgres://me:p%40w@db/talk?application_name=a%26b&channel_binding=x&port=7";
        let options = options(url).unwrap();
        assert_eq!(options.get_port(), 7);
        assert_eq!(options.get_application_name(), Some("a&b"));
    }
}
