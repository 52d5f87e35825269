//! What the settings of a connection add to each call.

use talkgraph_llm::{ConnectionSettings, Provider, ProviderKind, http_client};
use talkgraph_llm::{HttpSettings, ProviderSettings};

use crate::caller::{Answer, KEY, LONG, call, provider, settings_of};
use crate::upstream::{Script, Upstream};

const KINDS: [ProviderKind; 4] = [
    ProviderKind::OpenAi,
    ProviderKind::OpenAiResponses,
    ProviderKind::Anthropic,
    ProviderKind::Gemini,
];

fn connection(headers: &[(&str, &str)], query: &[(&str, &str)]) -> ConnectionSettings {
    let pairs = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()));
        pairs.collect()
    };
    ConnectionSettings {
        headers: pairs(headers),
        query: pairs(query),
        api_key_header: None,
    }
}

#[tokio::test]
async fn headers_and_parameters_go_with_each_call() {
    for kind in KINDS {
        let upstream = Upstream::start().await;
        upstream.then(Script::status(500));
        let mut settings = settings_of(kind, format!("{}?a=1", upstream.base_url()));
        settings.connection = connection(
            &[
                ("X-Gateway", "g-secret"),
                ("anthropic-version", "2099-01-01"),
            ],
            &[("api-version", "2024-10-21 x")],
        );
        call(&provider(settings)).await;
        let asked = &upstream.received()[0];
        assert_eq!(asked.header("x-gateway"), Some("g-secret"), "{kind:?}");
        // The settings win.
        assert_eq!(asked.header("anthropic-version"), Some("2099-01-01"));
        assert!(asked.line.contains("?a=1"), "{}", asked.line);
        assert!(
            asked.line.ends_with("api-version=2024-10-21+x"),
            "{}",
            asked.line
        );
        assert_eq!(asked.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn the_key_goes_into_the_header_of_the_settings() {
    for kind in KINDS {
        let upstream = Upstream::start().await;
        upstream.then(Script::status(500));
        let mut settings = settings_of(kind, upstream.base_url());
        settings.connection.api_key_header = Some("api-key".to_owned());
        call(&provider(settings)).await;
        let asked = &upstream.received()[0];
        assert_eq!(asked.header("api-key"), Some(KEY), "{kind:?}");
        for usual in ["authorization", "x-api-key", "x-goog-api-key"] {
            assert_eq!(asked.header(usual), None, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn the_usage_is_not_asked_for_where_the_settings_say_so() {
    let upstream = Upstream::start().await;
    upstream.then(Script::tokens(["Fine."]));
    let mut settings = settings_of(ProviderKind::OpenAi, upstream.base_url());
    settings.stream_options = false;
    assert_eq!(call(&provider(settings)).await, Answer::complete("Fine."));
    assert!(upstream.received()[0].body.get("stream_options").is_none());
}

#[test]
fn headers_that_would_break_the_connection_are_refused() {
    let made = |change: &dyn Fn(&mut ProviderSettings)| {
        let mut settings = settings_of(ProviderKind::OpenAi, "http://127.0.0.1:9/v1".to_owned());
        change(&mut settings);
        let client = http_client(&HttpSettings {
            connect_timeout: LONG,
            proxies: std::sync::Arc::default(),
        });
        Provider::new(client.unwrap(), settings).map(drop)
    };
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "accept",
        "a b",
        "",
    ] {
        let error = made(&|settings| settings.connection = connection(&[(name, "x")], &[]));
        assert_eq!(error.unwrap_err().key(), "headers", "{name}");
        let error = made(&|settings| {
            settings.connection.api_key_header = Some(name.to_owned());
        });
        assert_eq!(error.unwrap_err().key(), "api_key_header", "{name}");
    }
    let error = made(&|settings| settings.connection = connection(&[("x", "sk-1\n")], &[]));
    let error = error.unwrap_err();
    assert_eq!(error.key(), "headers");
    assert!(!error.to_string().contains("sk-1"), "{error}");
}
