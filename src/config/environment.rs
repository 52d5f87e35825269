//! The environment as a layer of settings: `TALKGRAPH_SECTION__KEY`, and a few names of wide use.
//! A variable's name with `_FILE` names a file with its value.

mod dotenv;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use config::builder::DefaultState;
use config::{ConfigBuilder, Environment};

use super::limited::{self, ReadError};
use super::{ConfigError, Sources};

const PREFIX: &str = "TALKGRAPH_";

/// The end of a variable's name whose value is in a file.
const FILE: &str = "_FILE";

/// The largest value in a file, in bytes.
const MAX_VALUE_BYTES: u64 = 64 * 1024;

/// Variables that name the settings' places, and so are none themselves.
const NOT_SETTINGS: [&str; 1] = ["TALKGRAPH_CONFIG"];

/// The variable with API keys as JSON.
pub(super) const KEYS: &str = "TALKGRAPH_AUTH__KEYS";

/// Settings whose own name ends in `_FILE`.
const FILE_SETTINGS: [&str; 1] = ["TALKGRAPH_AUTH__KEYS_FILE"];

/// Names of wide use, each with its full name.
const USUAL_NAMES: [(&str, &str); 6] = [
    ("OPENAI_API_KEY", "TALKGRAPH_MODELS__OPENAI__API_KEY"),
    ("OPENAI_BASE_URL", "TALKGRAPH_MODELS__OPENAI__BASE_URL"),
    ("ANTHROPIC_API_KEY", "TALKGRAPH_MODELS__ANTHROPIC__API_KEY"),
    ("GEMINI_API_KEY", "TALKGRAPH_MODELS__GEMINI__API_KEY"),
    ("DATABASE_URL", "TALKGRAPH_STORE__URL"),
    ("PORT", "TALKGRAPH_HTTP__PORT"),
];

/// The separator of section and key in a variable's name.
const SEPARATOR: &str = "__";

/// All variables: those of the `.env` file under those of the environment.
pub(super) struct Variables(HashMap<String, String>);

impl Variables {
    pub(super) fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut variables = dotenv::read(sources)?;
        variables.extend(sources.environment.iter().cloned());
        // In a shell, an empty variable unsets one for a single command.
        variables.retain(|_, value| !value.is_empty());
        Ok(Self(variables))
    }

    /// The value of a variable, or of the file that the variable with `_FILE` names.
    ///
    /// # Errors
    /// Fails when both are set, or the file has no value.
    pub(super) fn get(&self, name: &str) -> Result<Option<Cow<'_, str>>, ConfigError> {
        let in_file = format!("{name}{FILE}");
        let value = self.0.get(name);
        let Some(path) = self.0.get(&in_file) else {
            return Ok(value.map(|value| Cow::Borrowed(value.as_str())));
        };
        if value.is_some() {
            let why = format!("{name} is set as well: set one of the two");
            return Err(ConfigError::invalid(in_file, why));
        }
        value_of(Path::new(path), in_file).map(|value| Some(Cow::Owned(value)))
    }

    /// Returns the variables that are settings, by their full names, except the API keys.
    pub(super) fn settings(&self) -> Result<HashMap<String, String>, ConfigError> {
        let mut settings = HashMap::new();
        for (usual, ours) in USUAL_NAMES {
            if let Some(value) = self.get(usual)? {
                settings.insert(ours.to_owned(), value.into_owned());
            }
        }
        let names = self.0.keys().filter(|name| is_setting(name));
        for name in names {
            let is_file = name.ends_with(FILE) && !FILE_SETTINGS.contains(&name.as_str());
            let name = match is_file {
                true => name.trim_end_matches(FILE),
                false => name,
            };
            if NOT_SETTINGS.contains(&name) || name == KEYS {
                continue;
            }
            let value = match FILE_SETTINGS.contains(&name) {
                true => self.0.get(name).map(|value| Cow::Borrowed(value.as_str())),
                false => self.get(name)?,
            };
            if let Some(value) = value {
                settings.insert(name.to_owned(), value.into_owned());
            }
        }
        Ok(settings)
    }

    /// The variables with the prefix of settings that are none, sorted.
    pub(super) fn ignored(&self) -> Vec<String> {
        let is_ignored = |name: &&String| {
            name.starts_with(PREFIX)
                && !is_setting(name)
                && !NOT_SETTINGS.contains(&name.as_str())
                && !is_of_kubernetes(name)
        };
        let mut names: Vec<_> = self.0.keys().filter(is_ignored).cloned().collect();
        names.sort_unstable();
        names
    }

    /// The API keys, as JSON.
    pub(super) fn keys(&self) -> Option<&str> {
        self.0.get(KEYS).map(String::as_str)
    }
}

/// Every setting is in a section.
fn is_setting(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX);
    rest.is_some_and(|rest| rest.contains(SEPARATOR))
}

/// True for a variable that Kubernetes sets in each pod of a namespace with a service named
/// `talkgraph`, or `talkgraph-` and more.
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>
fn is_of_kubernetes(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
            let after = name.split_once("_PORT_").map(|(_, after)| after);
            after.is_some_and(|after| after.contains(protocol))
        })
}

/// The value in a file, without the line break at its end.
fn value_of(path: &Path, variable: String) -> Result<String, ConfigError> {
    let read = limited::read_text(path, MAX_VALUE_BYTES);
    // The path is not repeated: it may be the secret itself, by mistake.
    let text = read.map_err(|error| {
        let why = match error {
            ReadError::File(error) => format!("the file that it names cannot be read: {error}"),
            ReadError::TooLarge => format!("the file has more than {MAX_VALUE_BYTES} bytes"),
            ReadError::NotText => "the file is not UTF-8".to_owned(),
        };
        ConfigError::invalid(variable.clone(), why)
    })?;
    let value = text.trim_end_matches(['\n', '\r']);
    match value.trim().is_empty() {
        true => Err(ConfigError::invalid(variable, "the file is empty")),
        false => Ok(value.to_owned()),
    }
}

/// Adds settings from the environment as the highest layer.
pub(super) fn add(
    builder: ConfigBuilder<DefaultState>,
    settings: HashMap<String, String>,
) -> ConfigBuilder<DefaultState> {
    // A key or a password may look like a number: 0042 is not 42.
    let (texts, parsed): (config::Map<_, _>, config::Map<_, _>) = settings
        .into_iter()
        .partition(|(name, _)| name.ends_with("__API_KEY") || name == "TALKGRAPH_STORE__URL");
    let environment = || {
        Environment::with_prefix("TALKGRAPH")
            .prefix_separator("_")
            .separator("__")
    };
    builder
        .add_source(environment().source(Some(texts)))
        .add_source(
            environment()
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
                .source(Some(parsed)),
        )
}

#[cfg(test)]
mod tests;
