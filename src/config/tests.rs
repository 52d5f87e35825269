use super::{EXAMPLE, Settings, Sources};

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
