use secrecy::ExposeSecret;

use super::{EXAMPLE, ProviderKind, Settings, Sources};

fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let sources = Sources {
        environment: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Sources::default()
    };
    Settings::load(&sources).map_err(|error| error.to_string())
}

#[test]
fn the_example_documents_every_key() {
    let settings = load(&[
        ("OPENAI_API_KEY", "k"),
        ("ANTHROPIC_API_KEY", "k"),
        ("GEMINI_API_KEY", "k"),
        ("TALKGRAPH_MODELS__DEFAULT", "openai/x"),
    ])
    .unwrap();
    let effective: toml::Table = settings.to_toml().unwrap().parse().unwrap();
    let mut section = String::new();
    let mut documented = Vec::new();
    let mut explained = false;
    for line in EXAMPLE.lines() {
        let key = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = key.split_once(" = ") {
            assert!(explained, "{section}.{key} has no comment above it");
            documented.push(format!("{section}.{key}"));
            explained = line.starts_with('#');
        } else {
            explained = line.starts_with("# ") || (explained && !line.is_empty());
        }
    }
    let mut keys = Vec::new();
    collect(&effective, "", &mut keys);
    for key in keys {
        assert!(
            documented.contains(&key),
            "{key} is not in talkgraph.example.toml"
        );
    }
}

fn collect(table: &toml::Table, path: &str, keys: &mut Vec<String>) {
    for (name, value) in table {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match value {
            toml::Value::Table(table) => collect(table, &path, keys),
            _ => keys.push(path),
        }
    }
}

#[test]
fn the_environment_overrides_and_usual_names_work() {
    let settings = load(&[("PORT", "9000"), ("TALKGRAPH_RUNS__LEASE_S", "5")]).unwrap();
    assert_eq!((settings.http.port, settings.runs.lease_s), (9000, 5));
    let both = load(&[("PORT", "9000"), ("TALKGRAPH_HTTP__PORT", "9001")]).unwrap();
    assert_eq!(both.http.port, 9001);
    let origins = load(&[("TALKGRAPH_HTTP__CORS_ORIGINS", "http://a,http://b")]).unwrap();
    assert_eq!(origins.http.cors_origins, ["http://a", "http://b"]);
    let models = load(&[("TALKGRAPH_MODELS__DEFAULT", "openai/a,openai/b")]).unwrap();
    assert_eq!(models.models.default, ["openai/a", "openai/b"]);
}

#[test]
fn layers_go_defaults_file_dotenv_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (file, dotenv) = (folder.path().join("t.toml"), folder.path().join(".env"));
    std::fs::write(
        &file,
        "[http]\nport = 1\nkeep_alive_ms = 2\n[runs]\nlease_s = 3\n",
    )
    .unwrap();
    std::fs::write(
        &dotenv,
        "TALKGRAPH_HTTP__PORT=10\nTALKGRAPH_RUNS__LEASE_S=30\n",
    )
    .unwrap();
    let settings = Settings::load(&Sources {
        file: Some(file),
        dotenv: Some(dotenv),
        environment: vec![("TALKGRAPH_HTTP__PORT".into(), "100".into())],
    })
    .unwrap();
    assert_eq!(settings.http.port, 100);
    assert_eq!(settings.runs.lease_s, 30);
    assert_eq!(settings.http.keep_alive_ms, 2);
}

#[test]
fn a_bad_setting_is_named() {
    let cases = [
        (("TALKGRAPH_HTTP__PORT", "abc"), "http.port"),
        (("TALKGRAPH_HTTP__PROT", "1"), "prot"),
        (("TALKGRAPH_RUNS__LEASE_S", "0"), "runs.lease_s"),
        (("TALKGRAPH_HTTP__ADDRESS", "0.0.0.0"), "http.address"),
        (
            ("TALKGRAPH_LIMITS__PAGE_SIZE_DEFAULT", "900"),
            "limits.page_size_default",
        ),
        (
            ("TALKGRAPH_MODELS__RESILIENCE__ATTEMPTS", "0"),
            "models.resilience.attempts",
        ),
        (
            ("TALKGRAPH_MODELS__RESILIENCE__ATTEMPTS", "11"),
            "models.resilience.attempts",
        ),
        (
            ("TALKGRAPH_MODELS__RESILIENCE__RETRY_PERCENT", "101"),
            "models.resilience.retry_percent",
        ),
        (
            ("TALKGRAPH_MODELS__RESILIENCE__BACKOFF_MS", "9000"),
            "models.resilience.backoff_ms",
        ),
        (
            ("TALKGRAPH_MODELS__RESILIENCE__BREAKER_PAUSE_MS", "3600001"),
            "models.resilience.breaker_pause_ms",
        ),
        (
            ("TALKGRAPH_MODELS__OPENAI__CONCURRENCY", "0"),
            "models.openai.concurrency",
        ),
        (
            ("TALKGRAPH_MODELS__OPENAI__API_KEYS", "a,,b"),
            "models.openai.api_keys",
        ),
        (
            (
                "TALKGRAPH_MODELS__DEFAULT",
                "a/1,a/2,a/3,a/4,a/5,a/6,a/7,a/8,a/9",
            ),
            "models.default",
        ),
    ];
    for (variable, named) in cases {
        let error = load(&[variable]).unwrap_err();
        assert!(error.contains(named), "{variable:?}: {error}");
    }
}

/// Settings from a file, with these variables in the environment.
fn load_file(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, toml).unwrap();
    let variables = variables.iter();
    let sources = Sources {
        file: Some(file),
        environment: variables
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Sources::default()
    };
    Settings::load(&sources).map_err(|error| error.to_string())
}

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
fn secrets_are_hidden() {
    let settings = load(&[
        ("OPENAI_API_KEY", "sk-very-secret"),
        ("TALKGRAPH_MODELS__OPENAI__API_KEYS", "sk-very-secret-too,c"),
        ("DATABASE_URL", "postgres://me:pass-word@db/talk"),
    ])
    .unwrap();
    let shown = settings.to_toml().unwrap();
    assert!(
        !shown.contains("sk-very-secret") && !shown.contains("pass-word"),
        "{shown}"
    );
    assert!(shown.contains("postgres://(hidden)@db/talk"), "{shown}");
    assert!(!format!("{settings:?}").contains("secret"));
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
        let super::SecretSetting::Value(value) = value else {
            unreachable!("it is resolved");
        };
        assert_eq!(value.expose_secret(), "az-secret");
    }
    assert!(entry.is_configured());
    for shown in [settings.to_toml().unwrap(), format!("{settings:?}")] {
        assert!(!shown.contains("secret"), "{shown}");
    }
}
