//! Redaction of secrets: URLs, arguments of programs, and texts that repeat a known secret.

use std::borrow::Cow;

/// The placeholder of a secret.
pub const HIDDEN: &str = "(hidden)";

/// The schemes of URLs that may be shown in part.
const SCHEMES: [&str; 5] = ["http", "https", "postgres", "postgresql", "sqlite"];

/// The length above which a path segment or parameter name is hidden: tokens are long, words are
/// not.
const MAX_WORD_BYTES: usize = 24;

/// The number of digits above which a word is taken for a token.
const MAX_WORD_DIGITS: usize = 2;

/// The length below which a secret is not searched for in texts: it would match ordinary words.
const MIN_KNOWN_BYTES: usize = 6;

/// A URL without its secrets: user and password, the values of parameters and the fragment are
/// hidden, and so are segments of the path that are not plain words. Works on text that is no
/// valid URL, and on templates; text without a scheme is hidden as a whole.
///
/// The path of a `sqlite://` URL and the database's name in a `postgres://` URL are shown.
pub fn url(text: &str) -> String {
    let known = text.split_once("://");
    let Some((scheme, rest)) = known.filter(|(scheme, _)| SCHEMES.contains(scheme)) else {
        return HIDDEN.to_owned();
    };
    let fragment = rest.find('#').unwrap_or(rest.len());
    let query = rest[..fragment].find('?').unwrap_or(fragment);
    if scheme == "sqlite" {
        return format!("sqlite://{}{}", &rest[..query], tail(&rest[query..]));
    }
    let path = rest[..query].find(['/', '\\']).unwrap_or(query);
    let (user, host) = match rest[..path].rsplit_once('@') {
        Some((_, host)) => (format!("{HIDDEN}@"), host),
        None => (String::new(), &rest[..path]),
    };
    // A password with / ? or # in it, as people write it, ends further on.
    if rest[path..].contains('@') || !is_host(host) {
        return format!("{scheme}://{HIDDEN}");
    }
    let is_database = scheme.starts_with("postgres");
    let segments = rest[path..query].split('/').map(|segment| {
        let is_shown = segment.is_empty() || is_database || is_word(segment);
        if is_shown { segment } else { HIDDEN }
    });
    let segments: Vec<_> = segments.collect();
    let tail = tail(&rest[query..]);
    format!("{scheme}://{user}{host}{}{tail}", segments.join("/"))
}

/// The query and the fragment, with the names of the parameters alone.
fn tail(text: &str) -> String {
    let (query, fragment) = match text.split_once('#') {
        Some((query, _)) => (query, format!("#{HIDDEN}")),
        None => (text, String::new()),
    };
    let Some(query) = query.strip_prefix('?') else {
        return fragment;
    };
    let parameters = query.split('&').map(|parameter| {
        let name = parameter.split_once('=').map(|(name, _)| name);
        match name.filter(|name| is_word(name)) {
            Some(name) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_owned(),
        }
    });
    let parameters: Vec<_> = parameters.collect();
    format!("?{}{fragment}", parameters.join("&"))
}

/// Returns true for a host with an optional port; a template is not one.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, ""),
    };
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let separators: &[u8] = if address.is_some() { b":." } else { b".-_" };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || separators.contains(&byte);
    address.unwrap_or(host).bytes().all(allowed) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Redacts an argument of a program: the name of a long option is shown, its value and any other
/// argument is hidden.
pub fn argument(text: &str) -> String {
    let (option, value) = match text.split_once('=') {
        Some((option, _)) => (option, format!("={HIDDEN}")),
        None => (text, String::new()),
    };
    match option.strip_prefix("--").filter(|name| is_word(name)) {
        Some(_) => format!("{option}{value}"),
        None => HIDDEN.to_owned(),
    }
}

/// A name, hidden unless it is a plain word: text in the place of a name may be the
/// secret itself.
pub fn name(text: &str) -> &str {
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_variable = text.len() <= 64 && text.bytes().all(upper);
    if is_variable || is_word(text) {
        text
    } else {
        HIDDEN
    }
}

/// Returns true for lower-case letters with - _ . between them and at most two digits, as in
/// `v1beta`.
fn is_word(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !text.is_empty()
        && text.len() <= MAX_WORD_BYTES
        && digits <= MAX_WORD_DIGITS
        && text.bytes().all(allowed)
}

/// An error of a parser without the values that it quotes: text between quotes or backticks
/// after `string`, `character` or `variant`, and the name of a variant that does not exist.
pub fn quoted(message: &str) -> String {
    if let Some((before, rest)) = message.split_once("variant constructor ") {
        let key = rest.rfind(" for key ").map_or("", |at| &rest[at..]);
        return format!("{}variant constructor {HIDDEN}{key}", quoted(before));
    }
    let mut shown = String::with_capacity(message.len());
    let mut rest = message;
    loop {
        let starts = [
            "string \"",
            "character `",
            "variant `",
            "integer `",
            "point `",
        ];
        let found = starts.iter().filter_map(|start| {
            let at = rest.find(start)? + start.len();
            Some((at, start.as_bytes()[start.len() - 1] as char))
        });
        let Some((at, quote)) = found.min() else {
            shown.push_str(rest);
            return shown;
        };
        shown.push_str(&rest[..at - 1]);
        shown.push_str(HIDDEN);
        rest = after_quote(&rest[at..], quote);
    }
}

/// Returns the text after the closing quote; `\` escapes.
fn after_quote(text: &str, quote: char) -> &str {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return &text[at + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}

/// Secrets that were given to another program or server, which may repeat them.
#[derive(Clone, Default)]
pub struct Known(Vec<Box<str>>);

impl Known {
    /// Secrets with at least six bytes; of `Bearer TOKEN` and `Basic TOKEN` the token.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().map(|secret| {
            let token = secret.split_once(' ').filter(|(scheme, _)| {
                ["bearer", "basic", "token"].contains(&scheme.to_ascii_lowercase().as_str())
            });
            token.map_or(secret, |(_, token)| token).trim()
        });
        let long = secrets.filter(|secret| secret.len() >= MIN_KNOWN_BYTES);
        let mut known: Vec<Box<str>> = long.map(Box::from).collect();
        // A secret that contains another goes first, so that none of it stays.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(known)
    }

    /// Replaces each of the secrets in a text.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(&**secret) {
                text = Cow::Owned(text.replace(&**secret, HIDDEN));
            }
        }
        text
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({} secrets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        for (given, shown) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
            ("http://[::1]:80/v1", "http://[::1]:80/v1"),
            ("sqlite://data/talkgraph.db", "sqlite://data/talkgraph.db"),
            (
                "sqlite:///srv/A1234.db?key=x",
                "sqlite:///srv/A1234.db?key=(hidden)",
            ),
            (
                "postgres://me:p@db:5432/talk_001",
                "postgres://(hidden)@db:5432/talk_001",
            ),
            (
                "postgres://db/talk?password=p&sslmode=require",
                "postgres://db/talk?password=(hidden)&sslmode=(hidden)",
            ),
            ("postgres://me:p/w@db/talk", "postgres://(hidden)"),
            ("postgres://me:12/w@db/talk", "postgres://(hidden)"),
            ("postgres://me:12?w@db/talk", "postgres://(hidden)"),
            ("postgres://me:p#w@db/talk", "postgres://(hidden)"),
            (
                "https://mcp.example/s/4f9c1d7e/mcp",
                "https://mcp.example/s/(hidden)/mcp",
            ),
            (
                "https://mcp.example/mcp?Token",
                "https://mcp.example/mcp?(hidden)",
            ),
            (
                "https://mcp.example/mcp#abc",
                "https://mcp.example/mcp#(hidden)",
            ),
            (
                "https://x.example/v1/o/{{ args.n }}?lang={{ args.l }}",
                "https://x.example/v1/o/(hidden)?lang=(hidden)",
            ),
            ("https://{{ args.host }}/v1", "https://(hidden)"),
            ("token", "(hidden)"),
        ] {
            assert_eq!(url(given), shown, "{given}");
        }
    }

    #[test]
    fn arguments_show_the_names_of_options() {
        for (given, shown) in [
            ("--token=abc", "--token=(hidden)"),
            ("--read-only", "--read-only"),
            ("server.js", "(hidden)"),
            ("-pSECRET", "(hidden)"),
            ("--SECRET", "(hidden)"),
        ] {
            assert_eq!(argument(given), shown);
        }
    }

    #[test]
    fn errors_lose_the_values_that_they_quote() {
        for (given, shown) in [
            (
                r#"invalid type: string "a\"b c", expected u16 for key `http.port`"#,
                "invalid type: string (hidden), expected u16 for key `http.port`",
            ),
            (
                "unknown variant `abc`, expected `x`",
                "unknown variant (hidden), expected `x`",
            ),
            (
                "enum Kind does not have variant constructor a b for key `kind`",
                "enum Kind does not have variant constructor (hidden) for key `kind`",
            ),
            ("missing field `url`", "missing field `url`"),
            ("string \"never closed", "string (hidden)"),
        ] {
            assert_eq!(quoted(given), shown);
        }
    }

    #[test]
    fn known_secrets_are_hidden_in_texts() {
        let known = Known::new(["Bearer abcdefgh", "abcdefghij", "x", ""]);
        assert_eq!(
            known.hide("no abcdefghij, abcdefgh!"),
            "no (hidden), (hidden)!"
        );
        assert_eq!(known.hide("x"), "x");
        assert_eq!(format!("{known:?}"), "Known(2 secrets)");
    }

    proptest! {
        #[test]
        fn no_part_of_a_url_shows_a_token(
            user in "[a-z]{1,8}", token in "[A-Za-z0-9/?#@:]{4,30}",
        ) {
            // Upper case marks it, so that nothing else can be mistaken for it.
            let token = format!("T0KEN{token}");
            for text in [
                format!("postgres://{user}:{token}@db.example/talk"),
                format!("https://{token}@x.example/v1"),
                format!("https://x.example/v1?key={token}"),
                format!("https://x.example/{token}/v1"),
                format!("https://x.example/v1#{token}"),
                token.clone(),
            ] {
                prop_assert!(!url(&text).contains("T0KEN"), "{}: {}", text, url(&text));
            }
            let shown = argument(&format!("--key={token}"));
            prop_assert!(!shown.contains("T0KEN"), "{}", shown);
        }
    }
}
