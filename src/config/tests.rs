use super::example::{Key, Shape, keys_of};
use super::section::key_in;
use super::{Settings, Sources};

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
pub(super) fn load_file(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
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

/// The numbers below a section, by their full names.
fn numbers(path: &str, keys: Vec<Key>, found: &mut Vec<(String, Key)>) {
    for key in keys {
        let path = key_in(path, key.name);
        let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        match key.shape {
            Shape::Section(keys) => numbers(&path, keys(), found),
            _ if is_number(key.default) || is_number(key.example) => found.push((path, key)),
            _ => {}
        }
    }
}

#[test]
fn zero_is_refused_by_its_name_or_has_a_documented_meaning() {
    let mut found = Vec::new();
    numbers("", keys_of::<Settings>(), &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for (path, key) in found {
        let variable = format!("TALKGRAPH_{}", path.replace('.', "__").to_uppercase());
        let backoff = ("TALKGRAPH_MODELS__RESILIENCE__BACKOFF_MS", "0");
        let loaded = load(&[backoff, (&variable, "0")]);
        if *key.bounds.start() == 0 {
            loaded.unwrap_or_else(|error| panic!("{path} may be 0: {error}"));
            let text = key.text.join(" ");
            let mut words = text.split(|sign: char| !sign.is_ascii_alphanumeric());
            assert!(words.any(|word| word == "0"), "{path} has no text about 0");
        } else {
            let error = loaded.unwrap_err();
            let expected = format!("setting {path}: 0 is not allowed: must be ");
            assert!(error.starts_with(&expected), "{path}: {error}");
        }
    }
}

#[test]
fn numbers_of_lists_and_named_providers_have_bounds() {
    for (toml, refused) in [
        (
            "[models.providers.mine]\nkind = \"openai\"\nidle_timeout_ms = 0",
            "models.providers.mine.idle_timeout_ms: 0 is not allowed: must be at least 1",
        ),
        (
            "[models.openai.per_model.m]\ncontext_tokens = 255",
            "models.openai.per_model.m.context_tokens: 255 is not allowed: must be at least 256",
        ),
        (
            "[tools.egress]\nports = [80, 0]",
            "tools.egress.ports[1]: 0 is not allowed: must be at least 1",
        ),
        (
            "[[tools.mcp]]\nname = \"m\"\ncommand = \"m\"\ntimeout_ms = 0",
            "tools.mcp[0].timeout_ms: 0 is not allowed: must be at least 1",
        ),
        (
            "[models.resilience]\nattempts = 11",
            "models.resilience.attempts: 11 is not allowed: must be from 1 to 10",
        ),
        (
            "[store]\nwrite_gather_us = 20001",
            "store.write_gather_us: 20001 is not allowed: must be at most 20000",
        ),
    ] {
        let error = load_file(toml, &[]).unwrap_err();
        assert!(error.contains(refused), "{toml}: {error}");
    }
}
