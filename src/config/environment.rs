//! The environment as a layer of settings: `TALKGRAPH_SECTION__KEY`, and the few names
//! that everybody uses already.

use std::collections::HashMap;

use config::builder::DefaultState;
use config::{ConfigBuilder, Environment};

use super::{ConfigError, Sources};

const PREFIX: &str = "TALKGRAPH_";

/// Variables that say where the settings are, and so are none themselves.
const NOT_SETTINGS: [&str; 1] = ["TALKGRAPH_CONFIG"];

/// Names of wide use, and the variable each stands for.
const USUAL_NAMES: [(&str, &str); 6] = [
    ("OPENAI_API_KEY", "TALKGRAPH_MODELS__OPENAI__API_KEY"),
    ("OPENAI_BASE_URL", "TALKGRAPH_MODELS__OPENAI__BASE_URL"),
    ("ANTHROPIC_API_KEY", "TALKGRAPH_MODELS__ANTHROPIC__API_KEY"),
    ("GEMINI_API_KEY", "TALKGRAPH_MODELS__GEMINI__API_KEY"),
    ("DATABASE_URL", "TALKGRAPH_STORE__URL"),
    ("PORT", "TALKGRAPH_HTTP__PORT"),
];

/// All variables: those of the `.env` file under those of the environment.
pub(super) fn variables(sources: &Sources) -> Result<HashMap<String, String>, ConfigError> {
    let mut variables = dotenv(sources)?;
    variables.extend(sources.environment.iter().cloned());
    // An empty variable is how a shell unsets one for a single command.
    variables.retain(|_, value| !value.is_empty());
    Ok(variables)
}

/// Those variables that are settings, as a layer over what there is.
pub(super) fn add(
    builder: ConfigBuilder<DefaultState>,
    variables: &HashMap<String, String>,
) -> ConfigBuilder<DefaultState> {
    let mut variables = variables.clone();
    for (usual, ours) in USUAL_NAMES {
        if let Some(value) = variables.get(usual).cloned() {
            variables.entry(ours.to_owned()).or_insert(value);
        }
    }
    variables.retain(|name, _| name.starts_with(PREFIX) && !NOT_SETTINGS.contains(&name.as_str()));
    builder.add_source(
        Environment::with_prefix("TALKGRAPH")
            .prefix_separator("_")
            .separator("__")
            .list_separator(",")
            .with_list_parse_key("http.cors_origins")
            .with_list_parse_key("http.hosts")
            .with_list_parse_key("models.default")
            .with_list_parse_key("models.openai.api_keys")
            .with_list_parse_key("models.anthropic.api_keys")
            .with_list_parse_key("models.gemini.api_keys")
            .with_list_parse_key("tools.builtin")
            .with_list_parse_key("tools.egress.allow")
            .with_list_parse_key("tools.egress.ports")
            .try_parsing(true)
            .source(Some(variables)),
    )
}

fn dotenv(sources: &Sources) -> Result<HashMap<String, String>, ConfigError> {
    let Some(path) = sources.dotenv.as_ref().filter(|path| path.exists()) else {
        return Ok(HashMap::new());
    };
    let unreadable =
        |error: dotenvy::Error| ConfigError::Unreadable(format!("{}: {error}", path.display()));
    dotenvy::from_path_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)
}
