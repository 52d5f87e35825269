//! Typed settings. `talkgraph.example.toml` is generated from their declarations, which have the
//! text, the bounds and the default of each key, and is compiled in as the lowest layer.
//!
//! Layers, each over the one before: defaults, `talkgraph.toml`, `.env`, the environment.

#[macro_use]
mod section;

mod capabilities;
mod environment;
#[cfg(test)]
mod example;
mod keys;
mod limited;
mod models;
mod providers;
mod sections;
mod trim;

use std::fmt;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};
use thiserror::Error;

use self::environment::Variables;
use talkgraph_domain::redact;

pub use capabilities::ExtraBody;
pub(crate) use providers::ProviderEntry;
pub use providers::{
    NamedProviderSettings, OpenAiProtocol, PriceSettings, ProviderKind, ProviderSettings,
};
pub(crate) use sections::ms;
pub use sections::{
    AgentsSettings, ArgumentSetting, AuthSettings, DocumentSettings, EgressSettings,
    EmbeddedSettings, EvaluationSettings, HiddenSetting, HttpFetchSettings, HttpSettings,
    HttpToolSettings, KeySettings, LimitSettings, LogFormat, McpServerSettings, ModelsSettings,
    OperationToolSettings, PoolerSetting, ProxyUse, ResilienceSettings, RunSettings, SecretSetting,
    Settings, StoreSettings, TelemetrySettings, ToolSettings, UrlSetting,
};

/// The documented defaults: `talkgraph.example.toml`.
pub const EXAMPLE: &str = include_str!("../talkgraph.example.toml");

/// The settings file that is read if it exists.
pub const DEFAULT_FILE: &str = "talkgraph.toml";

/// A setting that stops start-up.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file or variable that cannot be read, a wrong type, or an unknown key.
    #[error("settings: {0}")]
    Unreadable(String),
    /// A value that is not allowed.
    #[error("setting {key}: {why}")]
    Invalid {
        /// The setting.
        key: String,
        /// The value, what is allowed, and the fix.
        why: String,
    },
}

impl ConfigError {
    /// A value that is not allowed.
    pub fn invalid(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.into(),
            why: why.into(),
        }
    }
}

/// The sources of settings besides the defaults.
#[derive(Clone, Default)]
pub struct Sources {
    /// A settings file that must exist; otherwise [`DEFAULT_FILE`] is read if it does.
    pub file: Option<PathBuf>,
    /// A `.env` file, read if it exists.
    pub dotenv: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
}

// The environment has secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("dotenv", &self.dotenv)
            .finish_non_exhaustive()
    }
}

impl Sources {
    /// The usual ones: the given file, `.env` in the working folder, the process's
    /// environment.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            dotenv: Some(PathBuf::from(".env")),
            // A variable that is not UTF-8 cannot be a setting.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }
}

impl Settings {
    /// Reads and checks the settings.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let builder = Config::builder()
            .add_source(File::from_str(EXAMPLE, FileFormat::Toml))
            .add_source(settings_file(sources));
        let variables = Variables::read(sources)?;
        let builder = environment::add(builder, variables.settings()?);
        let mut settings: Self = builder
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|error| unreadable(&error))?;
        settings.ignored_variables = variables.ignored();
        settings.models.resolve(&variables)?;
        settings.models.trim_keys();
        settings.tools.resolve(&variables)?;
        settings.auth.complete(&variables)?;
        settings.check()?;
        Ok(settings)
    }

    /// The effective settings as TOML, secrets hidden.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self).map_err(|error| ConfigError::Unreadable(error.to_string()))
    }
}

/// An error of the settings, without the values that it quotes: any may be a secret.
fn unreadable(error: &config::ConfigError) -> ConfigError {
    ConfigError::Unreadable(redact::quoted(&in_one_line(&error.to_string())))
}

/// The error without the lines that draw its place in a TOML file; its words name it too.
fn in_one_line(error: &str) -> String {
    let lines = error.lines().map(str::trim);
    let words: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.contains('|'))
        .collect();
    words.join(": ")
}

fn settings_file(sources: &Sources) -> File<config::FileSourceFile, FileFormat> {
    let file = match &sources.file {
        Some(path) => File::from(path.as_path()).required(true),
        None => File::from(Path::new(DEFAULT_FILE)).required(false),
    };
    file.format(FileFormat::Toml)
}

#[cfg(test)]
mod tests;
