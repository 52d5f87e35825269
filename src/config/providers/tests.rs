use secrecy::ExposeSecret;

use crate::config::tests::load_file;
use crate::config::{EXAMPLE, ProviderKind, SecretSetting};

#[test]
fn the_example_of_a_named_provider_works() {
    let start = EXAMPLE.find("# [models.providers.groq]").unwrap();
    let block = EXAMPLE[start..].split("\n\n").next().unwrap();
    let is_setting = |line: &&str| line.starts_with("[models.providers.") || line.contains(" = ");
    let lines = block.lines().map(|line| line.trim_start_matches("# "));
    let toml: Vec<_> = lines.filter(is_setting).collect();
    let settings = load_file(&toml.join("\n"), &[("GROQ_API_KEY", "gsk-secret")]).unwrap();

    let entries = settings.models.entries();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["openai", "anthropic", "gemini", "groq"]);
    let groq = &entries[3];
    assert_eq!(groq.kind, ProviderKind::OpenAi);
    assert_eq!(
        groq.settings.base_url.expose(),
        "https://api.groq.com/openai/v1"
    );
    let key = groq.settings.api_key.as_ref().unwrap();
    assert_eq!(key.expose_secret(), "gsk-secret");
    // What it does not say is as in the section of its kind.
    let openai = &settings.models.openai;
    assert_eq!(groq.settings.idle_timeout_ms, openai.idle_timeout_ms);
    let price = groq.settings.prices["llama-3.3-70b-versatile"];
    assert_eq!(price.cached_input_per_million, Some(0.3));
    let shown = settings.to_toml().unwrap();
    assert!(
        !shown.contains("gsk-secret") && shown.contains("GROQ_API_KEY"),
        "{shown}"
    );
}

#[test]
fn named_providers_take_after_their_kind() {
    let toml = "[models.anthropic]\nidle_timeout_ms = 7\napi_key = \"a\"\n\
        [models.providers.claude-eu]\nkind = \"anthropic\"\nbase_url = \"http://eu\"\n\
        [models.providers.Claude.prices.\"a/B.c\"]\n";
    let refused = load_file(toml, &[]).unwrap_err();
    assert!(refused.contains("models.providers"), "{refused}");
    let toml = toml.replace("providers.Claude.", "providers.claude-eu.")
        + "input_per_million = 1\noutput_per_million = 2.5\n";
    let settings = load_file(&toml, &[]).unwrap();
    let entry = settings.models.entries().pop().unwrap();
    assert_eq!(
        (&*entry.name, entry.settings.idle_timeout_ms),
        ("claude-eu", 7)
    );
    assert!(
        entry.settings.api_key.is_none(),
        "a key is for the host it was given for"
    );
    let price = entry.settings.prices["a/B.c"];
    assert_eq!(
        (price.input_per_million, price.output_per_million),
        (1.0, 2.5)
    );
}

#[test]
fn a_bad_provider_is_named() {
    let named = |rest: &str| format!("[models.providers.mine]\nkind = \"gemini\"\n{rest}\n");
    for (toml, at) in [
        (
            named("api_key_env = \"NOT_SET\""),
            "models.providers.mine.api_key_env",
        ),
        (
            named("api_key = \"k\"\napi_key_env = \"SET\""),
            "models.providers.mine.api_key_env",
        ),
        (
            named("concurrency = 0"),
            "models.providers.mine.concurrency",
        ),
        (
            named("event_limit_bytes = 0"),
            "models.providers.mine.event_limit_bytes",
        ),
        (named("api_keys = [\"\"]"), "models.providers.mine.api_keys"),
        (
            named(
                "[models.providers.mine.prices.x]\ninput_per_million = -1\noutput_per_million = 1",
            ),
            "models.providers.mine.prices.\"x\"",
        ),
        (
            "[models.providers.\"a b\"]\nkind = \"openai\"".to_owned(),
            "models.providers.a b",
        ),
        (
            "[models.providers.embedded]\nkind = \"openai\"".to_owned(),
            "models.providers.embedded",
        ),
        (
            "[models.providers.mine]\nkind = \"mine\"".to_owned(),
            "kind",
        ),
        (named("protocol = \"responses\""), "protocol"),
        (
            "[models.anthropic]\nprotocol = \"responses\"".to_owned(),
            "models.anthropic.protocol",
        ),
        (
            named("stream_options = false"),
            "models.providers.mine.stream_options",
        ),
        (
            named("headers = { x = { env = \"NOT_SET\" } }"),
            "models.providers.mine.headers",
        ),
        (
            "[models.gemini]\nquery = { x = { env = \"NOT_SET\" } }".to_owned(),
            "models.gemini.query",
        ),
        (
            named("base_url = \"http://h/v1/messages\""),
            "models.providers.mine.base_url",
        ),
        (
            "[models.anthropic]\nconcurrency = 0".to_owned(),
            "models.anthropic.concurrency",
        ),
    ] {
        let refused = load_file(&toml, &[("SET", "k")]).unwrap_err();
        assert!(refused.contains(at), "{toml}: {refused}");
    }
}

#[test]
fn capabilities_are_read_for_any_provider_and_name_what_is_wrong() {
    let settings = load_file(
        "[models.gemini.capabilities]\nefforts = [\"low\", \"high\"]\n\
         [models.providers.x]\nkind = \"openai\"\n\
         [models.providers.x.extra_body]\nkey = \"sk-secret\"\n\
         [models.providers.x.per_model.\"m-1.5\"]\nsame_as = \"gpt-6-luna\"\n\
         [models.providers.x.per_model.\"m-1.5\".capabilities]\nsampling = \"never\"\n\
         limit_field = \"max_completion_tokens\"\ntemperature_max = 1.5\n",
        &[],
    );
    let settings = settings.unwrap();
    let shown = settings.to_toml().unwrap() + &format!("{settings:?}");
    assert!(!shown.contains("sk-secret"), "{shown}");
    assert!(shown.contains("max_completion_tokens"), "{shown}");

    for (wrong, named) in [
        (
            "[models.openai.capabilities]\nsampling = \"maybe\"",
            "sampling",
        ),
        (
            "[models.openai.capabilities]\nefforts = [\"huge\"]",
            "efforts",
        ),
        ("[models.openai.capabilities]\nunknown = 1", "unknown"),
        (
            "[models.openai.capabilities]\ntemperature_max = 3.0",
            "models.openai.capabilities.temperature_max",
        ),
        (
            "[models.providers.x]\nkind = \"openai\"\n\
             [models.providers.x.per_model.\"a/b.c\".capabilities]\ncontext_tokens = 9000",
            "models.providers.x.per_model.\"a/b.c\".capabilities.context_tokens",
        ),
        (
            "[models.openai.per_model.m.capabilities]\nprice = { input = 1.0, output = 2.0 }",
            "models.openai.per_model.\"m\".capabilities.price",
        ),
        (
            "[models.openai.per_model.m.capabilities]\nmax_output_tokens = 0",
            "models.openai.per_model.\"m\".capabilities.max_output_tokens",
        ),
    ] {
        let error = load_file(wrong, &[]).unwrap_err();
        assert!(error.contains(named), "{wrong}: {error}");
    }
}

#[test]
fn openai_is_spoken_to_through_responses() {
    let kind = |toml: &str| {
        let settings = load_file(&format!("[models.openai]\n{toml}\n"), &[]).unwrap();
        settings.models.entries()[0].kind
    };
    let (chat, responses) = (ProviderKind::OpenAi, ProviderKind::OpenAiResponses);
    for (toml, expected) in [
        ("", responses),
        ("base_url = \"https://eu.api.openai.com/v1\"", responses),
        ("protocol = \"chat-completions\"", chat),
        ("base_url = \"http://localhost:11434/v1\"", chat),
        (
            "base_url = \"http://localhost:1/v1\"\nprotocol = \"responses\"",
            responses,
        ),
        ("base_url = \"http://localhost:1/v1/responses\"", responses),
        (
            "base_url = \"https://api.openai.com/v1/chat/completions\"",
            chat,
        ),
    ] {
        assert_eq!(kind(toml), expected, "{toml}");
    }
}

#[test]
fn headers_of_providers_come_from_the_environment_and_are_hidden() {
    let toml = "[models.providers.az]\nkind = \"openai\"\nbase_url = \"http://h/v1\"\n\
        headers = { \"api-key\" = { env = \"AZ\" }, plain = \"plain-secret\" }\n\
        query = { code = { env = \"AZ\" } }\n";
    let settings = load_file(toml, &[("AZ", "az-secret")]).unwrap();
    let entry = settings.models.entries().pop().unwrap();
    for value in [
        &entry.settings.headers["api-key"],
        &entry.settings.query["code"],
    ] {
        let SecretSetting::Value(value) = value else {
            unreachable!("it is resolved");
        };
        assert_eq!(value.expose_secret(), "az-secret");
    }
    assert!(entry.is_configured());
    for shown in [settings.to_toml().unwrap(), format!("{settings:?}")] {
        assert!(!shown.contains("secret"), "{shown}");
    }
}
