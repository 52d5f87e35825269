//! Canaries in every text of the settings.

use toml::{Table, Value};

use crate::config::{EXAMPLE, Settings, Sources};

/// The keys whose values are shown. Any other text is a secret, as long as no one has decided
/// that it is none.
const SHOWN: &[&str] = &[
    "store.pooler",
    "agents.default",
    "agents.folder",
    "auth.keys.name",
    "auth.keys.owner",
    "auth.keys.scopes",
    "auth.keys.sha256",
    "auth.keys.tenant",
    "documents.manifest",
    "documents.trusted_documents",
    "evaluation.program",
    "http.address",
    "http.cors_origins",
    "http.hosts",
    "models.anthropic.cache_ttl",
    "models.anthropic.files",
    "models.default",
    "models.embedded.path",
    "models.gemini.files",
    "models.openai.capabilities.limit_field",
    "models.openai.api_key_header",
    "models.openai.files",
    "models.openai.protocol",
    "models.providers.groq.api_key_env",
    "models.providers.groq.kind",
    "runs.on_restart",
    "telemetry.format",
    "telemetry.log",
    "tools.approval.calculator",
    "tools.builtin",
    "tools.egress.allow",
    "tools.egress.proxy",
    "tools.http.description",
    "tools.http.forward_headers",
    "tools.http.method",
    "tools.http.name",
    "tools.http.parameters",
    "tools.http.response_pointer",
    "tools.mcp.command",
    "tools.mcp.forward_headers",
    "tools.mcp.name",
    "tools.operations.description",
    "tools.operations.document",
    "tools.operations.document_id",
    "tools.operations.name",
    "tools.operations.operation",
];

const CANARY: &str = "sk-Canary-9xQ7zzPw";

#[test]
fn no_text_of_the_settings_is_shown_without_a_decision() {
    let mut all: Table = every_key().parse().unwrap();
    let auth = all["auth"].as_table_mut().unwrap();
    // They name files that are read.
    auth.remove("keys_file");
    auth.remove("keys_folder");
    let mut planted = Vec::new();
    plant("", &mut Value::Table(all.clone()), &mut planted);
    let mut value = Value::Table(all);
    plant("", &mut value, &mut Vec::new());
    for key in [
        "store.url",
        "models.openai.api_key",
        "tools.mcp.args",
        "tools.mcp.env.FILES_TOKEN.env",
    ] {
        assert!(
            planted.iter().any(|planted| planted == key),
            "{key}: {planted:?}"
        );
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, toml::to_string(&value).unwrap()).unwrap();
    let names = [
        "ORDERS_TOKEN",
        "FILES_TOKEN",
        "MCP_TOKEN",
        "GROQ_API_KEY",
        CANARY,
    ];
    let settings = Settings::load(&Sources {
        file: Some(file),
        environment: names
            .map(|name| (name.to_owned(), CANARY.to_owned()))
            .into(),
        ..Sources::default()
    });
    let settings = settings.unwrap();
    for shown in [settings.to_toml().unwrap(), format!("{settings:?}")] {
        assert!(!shown.contains("Canary"), "{shown}");
    }
}

/// Puts a canary in the place of every text but those that are shown.
fn plant(path: &str, value: &mut Value, planted: &mut Vec<String>) {
    match value {
        Value::String(text) if !is_shown(path) => {
            planted.push(path.to_owned());
            *text = match text.split_once("://") {
                Some((scheme, _)) => format!(
                    "{scheme}://me:{CANARY}@host.example/a/{CANARY}?key={CANARY}#{CANARY}"
                )
                .replace("sqlite", "postgres")
                // A path of it is a database.
                .replace(&format!("/a/{CANARY}"), if scheme == "sqlite" { "/a" } else { "/a/X1Y2Z3" }),
                None => CANARY.to_owned(),
            };
        }
        Value::Array(values) => {
            values
                .iter_mut()
                .for_each(|value| plant(path, value, planted));
        }
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                plant(&path, value, planted);
            }
        }
        _ => {}
    }
}

fn is_shown(path: &str) -> bool {
    SHOWN.contains(&path)
        || path.contains(".per_model.")
        || path.starts_with("tools.operations.response_pointer")
}

/// The documented settings with every key that is commented out.
fn every_key() -> String {
    let (mut tables, mut blocks, mut is_block) = (String::new(), String::new(), false);
    for line in EXAMPLE.lines() {
        let text = line.trim_start_matches("# ");
        let is_key = text.split_once(" = ").is_some_and(|(key, _)| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        });
        if line.starts_with("# [") && text.ends_with(']') && !text.contains(' ') {
            is_block = true;
        } else if !line.starts_with('#') {
            is_block = false;
        }
        let is_empty_list =
            ["keys = []", "http = []", "operations = []", "mcp = []"].contains(&line);
        if is_empty_list || !(is_key || text.starts_with('[') && text.ends_with(']')) {
            continue;
        }
        let to = if is_block { &mut blocks } else { &mut tables };
        *to += text;
        *to += "\n";
    }
    tables + &blocks
}
