use secrecy::ExposeSecret;

use crate::config::tests::load_file;
use crate::config::{Settings, Sources};

fn load(variables: &[(&str, &str)], toml: &str) -> Result<Settings, String> {
    load_file(toml, variables)
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = path("key", "sk-file\n");
    let url = path("url", "postgres://db/talk\r\n");
    let toml = "[models.providers.groq]\nkind = \"openai\"\napi_key_env = \"GROQ_API_KEY\"\n\
        [[tools.http]]\nname = \"x\"\ndescription = \"x\"\nmethod = \"GET\"\n\
        url = \"https://x.example/\"\nparameters = '{\"type\": \"object\"}'\n\
        headers = { authorization = { env = \"X_TOKEN\" } }\n";
    let variables = [
        ("OPENAI_API_KEY_FILE", key.as_str()),
        ("TALKGRAPH_MODELS__ANTHROPIC__API_KEY_FILE", &key),
        ("GROQ_API_KEY_FILE", &key),
        ("X_TOKEN_FILE", &key),
        ("DATABASE_URL_FILE", &url),
    ];
    let settings = load(&variables, toml).unwrap();
    assert_eq!(settings.store.url.expose_secret(), "postgres://db/talk");
    let models = &settings.models;
    for provider in [
        &models.openai.api_key,
        &models.anthropic.api_key,
        &models.providers["groq"].api_key,
    ] {
        assert_eq!(provider.as_ref().unwrap().expose_secret(), "sk-file");
    }
    // The full name goes before the usual one, as without a file.
    let ours = ("TALKGRAPH_STORE__URL", "sqlite://a.db");
    let settings = load(&[ours, ("DATABASE_URL_FILE", &url)], "").unwrap();
    assert_eq!(settings.store.url.expose_secret(), "sqlite://a.db");
}

#[test]
fn a_file_without_a_value_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, large) = (path("empty", b"\n"), path("large", &[b'a'; 65_537]));
    let (binary, good) = (path("binary", &[0xff, 0xfe]), path("good", b"k"));
    for name in [
        "DATABASE_URL",
        "OPENAI_API_KEY",
        "TALKGRAPH_MODELS__GEMINI__API_KEY",
    ] {
        let in_file = format!("{name}_FILE");
        for (value, why) in [
            ("/nowhere/sk-Canary", "cannot be read"),
            (folder.path().to_str().unwrap(), "cannot be read"),
            (&empty, "empty"),
            (&large, "65536"),
            (&binary, "UTF-8"),
        ] {
            let error = load(&[(&in_file, value)], "").unwrap_err();
            assert!(error.contains(&in_file) && error.contains(why), "{error}");
            assert!(!error.contains("Canary"), "{error}");
        }
        let both = load(&[(&in_file, &good), (name, "x")], "").unwrap_err();
        assert!(
            both.contains(&in_file) && both.contains("as well"),
            "{both}"
        );
    }
    let unknown = load(&[("TALKGRAPH_HTTP__PROT_FILE", &good)], "").unwrap_err();
    assert!(unknown.contains("prot"), "{unknown}");
}

#[test]
fn a_secret_that_looks_like_a_number_stays_as_it_is() {
    for key in ["0042", "1e5", "true", "12,34"] {
        let settings = load(&[("OPENAI_API_KEY", key)], "").unwrap();
        let read = settings.models.openai.api_key.unwrap();
        assert_eq!(read.expose_secret(), key);
    }
}

#[test]
fn no_error_shows_a_value() {
    let key = "[models.openai]\napi_key = ";
    for (variables, toml) in [
        (vec![("TALKGRAPH_HTTP__PORT", "sk-Canary")], String::new()),
        (
            vec![("TALKGRAPH_RUNS__LEASE_S", "sk-Canary")],
            String::new(),
        ),
        (vec![("TALKGRAPH_AUTH__KEYS", "sk-Canary")], String::new()),
        (
            vec![("TALKGRAPH_AUTH__KEYS", "\"sk-Canary\"")],
            String::new(),
        ),
        (
            vec![("TALKGRAPH_AUTH__KEYS", "[{\"name\": [\"sk-Canary\"]}]")],
            String::new(),
        ),
        (vec![], format!("{key}[\"sk-Canary\"]\n")),
        (vec![], format!("{key}\"sk-Canary\n")),
        (vec![], format!("{key}sk-Canary\n")),
        (vec![], "[auth]\nkeys = \"sk-Canary\"\n".to_owned()),
        (vec![], "[http]\nport = \"sk-Canary\"\n".to_owned()),
        (
            vec![],
            "[models.providers.x]\nkind = \"sk-Canary\"\n".to_owned(),
        ),
        (
            vec![],
            "[models.providers.x]\nkind = \"openai\"\napi_key_env = \"sk-Canary\"\n".to_owned(),
        ),
    ] {
        let error = load(&variables, &toml).unwrap_err();
        assert!(!error.contains("Canary"), "{toml}: {error}");
    }
}

#[test]
fn variables_that_an_orchestrator_makes_stop_nothing() {
    let variables = [
        ("TALKGRAPH_PORT", "tcp://10.0.0.1:8080"),
        ("TALKGRAPH_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("TALKGRAPH_PORT_8080_TCP_PROTO", "tcp"),
        ("TALKGRAPH_PORT_8080_TCP_PORT", "8080"),
        ("TALKGRAPH_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("TALKGRAPH_SERVICE_HOST", "10.0.0.1"),
        ("TALKGRAPH_SERVICE_PORT", "8080"),
        ("TALKGRAPH_SERVICE_PORT_HTTP", "8080"),
        ("TALKGRAPH_CANARY_SERVICE_HOST", "10.0.0.2"),
        ("TALKGRAPH_HTTP__PORT", "9000"),
    ];
    let settings = load(&variables, "").unwrap();
    assert_eq!(settings.http.port, 9000);
    assert!(settings.ignored_variables.is_empty());
    // What no one makes may be a slip: it is named.
    let settings = load(
        &[("TALKGRAPH_HTTP_PROT", "1"), ("TALKGRAPH_CONFIG", "x")],
        "",
    )
    .unwrap();
    assert_eq!(settings.ignored_variables, ["TALKGRAPH_HTTP_PROT"]);
    let unknown = load(&[("TALKGRAPH_HTTP__PROT", "1")], "").unwrap_err();
    assert!(unknown.contains("prot"), "{unknown}");
}

fn load_dotenv(text: &[u8]) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let dotenv = folder.path().join(".env");
    std::fs::write(&dotenv, text).unwrap();
    let sources = Sources {
        dotenv: Some(dotenv),
        ..Sources::default()
    };
    Settings::load(&sources).map_err(|error| error.to_string())
}

#[test]
fn a_wrong_line_is_named_by_its_number() {
    for (text, number) in [
        ("OPENAI_API_KEY=sk-Canary is it", 1),
        ("# keys\n\nPORT=80\nOPENAI_API_KEY=sk-Canary is it\n", 4),
        ("PORT=80\r\nOPENAI_API_KEY='sk-Canary\r\n", 2),
        ("PORT=80\nsk-Canary\n", 2),
    ] {
        let error = load_dotenv(text.as_bytes()).unwrap_err();
        assert!(error.contains(".env: line "), "{error}");
        assert!(
            error.contains(&format!("line {number},")),
            "{text}: {error}"
        );
        assert!(!error.contains("Canary"), "{error}");
    }
    let binary = load_dotenv(b"PORT=80\n\xff").unwrap_err();
    assert!(binary.contains("UTF-8"), "{binary}");
}

#[test]
fn what_editors_and_copies_leave_is_no_part_of_a_value() {
    let text =
        "\u{feff}OPENAI_API_KEY=\" sk-a \"\r\n ANTHROPIC_API_KEY = sk-b \r\nexport PORT=81\r\n";
    let settings = load_dotenv(text.as_bytes()).unwrap();
    let key =
        |key: &Option<secrecy::SecretString>| key.as_ref().unwrap().expose_secret().to_owned();
    assert_eq!(key(&settings.models.openai.api_key), "sk-a");
    assert_eq!(key(&settings.models.anthropic.api_key), "sk-b");
    assert_eq!(settings.http.port, 81);
    let toml = "\u{feff}[models.gemini]\napi_key = \" sk-c\\n\"\napi_keys = [\"sk-d \"]\n";
    let settings = load(&[("OPENAI_API_KEY", "\tsk-e\n")], toml).unwrap();
    assert_eq!(key(&settings.models.gemini.api_key), "sk-c");
    assert_eq!(settings.models.gemini.api_keys[0].expose_secret(), "sk-d");
    assert_eq!(key(&settings.models.openai.api_key), "sk-e");
}
