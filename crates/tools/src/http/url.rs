//! Templates of URLs.

use reqwest::Url;
use serde_json::Value;

use super::rendered;
use crate::ToolError;
use talkgraph_domain::Principal;
use talkgraph_evaluation::{Escape, Evaluator};

/// A URL template with arguments.
pub(super) struct UrlTemplate {
    template: String,
    /// Scheme, host and port, if no argument can change them.
    origin: Option<Url>,
}

impl UrlTemplate {
    /// Reads a URL's template.
    pub(super) async fn new(evaluator: &Evaluator, source: &str) -> Result<Self, String> {
        let (scheme, rest) = source.split_once("://").unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err("must begin with https:// or http://".to_owned());
        }
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let authority = &rest[..end];
        let origin = match authority.contains(['{', '}']) {
            true => None,
            false => {
                let origin = Url::parse(&format!("{scheme}://{authority}/"));
                Some(origin.map_err(|error| format!("is no URL: {error}"))?)
            }
        };
        if has_dots(source) {
            return Err("must not have . or .. as a part of its path".to_owned());
        }
        let checked = evaluator.check_request(source, Escape::Url).await;
        checked.map_err(|error| error.to_string())?;
        Ok(Self {
            template: source.to_owned(),
            origin,
        })
    }

    /// Scheme, host and port, if the settings alone decide them.
    pub(super) fn origin(&self) -> Option<&Url> {
        self.origin.as_ref()
    }

    /// The URL for these arguments.
    pub(super) async fn render(
        &self,
        evaluator: &Evaluator,
        who: &Principal,
        arguments: &Value,
    ) -> Result<Url, ToolError> {
        let text = evaluator.request(who, &self.template, Escape::Url, arguments);
        let text = rendered(text.await)?;
        // The parser would resolve them, and so leave the path that the operator allows.
        if has_dots(&text) {
            let why = "an argument must not be . or .. where it is a part of the URL's path";
            return Err(ToolError::Failed(why.to_owned()));
        }
        let url = Url::parse(&text);
        let url = url.map_err(|error| ToolError::Failed(format!("this gives no URL: {error}")))?;
        // Encoded values cannot change the origin; this is a second line of defence.
        match &self.origin {
            Some(origin) if origin.origin() != url.origin() => Err(ToolError::internal(
                "an argument has changed the URL's origin",
            )),
            _ => Ok(url),
        }
    }
}

/// Returns true if a path has `.` or `..` as a segment, in any form that is read as one (URL
/// Standard, section 4.1).
fn has_dots(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn new(source: &str) -> Result<UrlTemplate, String> {
        UrlTemplate::new(&Evaluator::in_process(), source).await
    }

    #[tokio::test]
    async fn the_settings_decide_the_origin() {
        for (source, origin) in [
            (
                "https://api.example:8443/x/{{ args.a }}",
                Some("https://api.example:8443/"),
            ),
            (
                "https://api.example?a={{ args.a }}",
                Some("https://api.example/"),
            ),
            ("https://{{ args.a }}.example/", None),
            ("https://api.example:{{ args.a }}/", None),
            ("https://{{ args.a }}@api.example/", None),
        ] {
            let template = new(source).await.unwrap();
            assert_eq!(template.origin().map(Url::as_str), origin, "{source}");
        }
        for source in [
            "ftp://x/",
            "x",
            "//x",
            "https:///",
            "https://x/../y",
            "{{ args.url }}",
        ] {
            assert!(new(source).await.is_err(), "{source}");
        }
    }

    #[tokio::test]
    async fn arguments_stay_in_their_segment() {
        let template = new("https://x/users/{{ args.id }}{{ args.more }}/name")
            .await
            .unwrap();
        let render = async |id: &str, more: &str| {
            let arguments = json!({ "id": id, "more": more });
            let (evaluator, who) = (Evaluator::in_process(), Principal::development());
            let url = template.render(&evaluator, &who, &arguments).await;
            url.map(|url| url.to_string()).map_err(|error| error.code())
        };
        assert_eq!(
            render("a/../b", "").await.as_deref(),
            Ok("https://x/users/a%2F..%2Fb/name")
        );
        assert_eq!(
            render("@evil.example", "").await.as_deref(),
            Ok("https://x/users/%40evil.example/name")
        );
        assert_eq!(
            render("...", "").await.as_deref(),
            Ok("https://x/users/.../name")
        );
        assert_eq!(
            render("%2e%2e", "").await.as_deref(),
            Ok("https://x/users/%252e%252e/name")
        );
        assert_eq!(render("..", "").await, Err("FAILED"));
        assert_eq!(render(".", ".").await, Err("FAILED"));
    }
}
