//! API keys: of the settings file, the environment, a file and a folder of files.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use config::{Config, FileFormat};
use serde::Deserialize;

use super::environment::{self, KEYS, Variables};
use super::limited::{self, ReadError};
use super::{AuthSettings, ConfigError, DEFAULT_FILE, EXAMPLE, KeySettings, Sources};
use talkgraph_domain::Scope;
use talkgraph_domain::redact;

/// The largest file of keys, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The most files of a folder of keys.
const MAX_FILES: usize = 10_000;

/// The most keys.
const MAX_KEYS: usize = 10_000;

const FOLDER: &str = "auth.keys_folder";
const FILE: &str = "auth.keys_file";

/// `keys` of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    keys: Vec<KeySettings>,
}

/// A key in a file of its own; without a name it has the name of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    name: Option<String>,
    tenant: String,
    owner: String,
    sha256: String,
    #[serde(default)]
    scopes: Vec<Scope>,
}

impl AuthSettings {
    /// Replaces the keys of the settings file with those of the environment, adds those of the
    /// files, and checks all of them.
    pub(super) fn complete(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        if let Some(json) = variables.keys() {
            let read = serde_json::from_str(json);
            self.keys = read.map_err(|error| {
                let error = redact::quoted(&error.to_string());
                let why = format!("must be a list of keys as JSON: {error}");
                ConfigError::invalid(KEYS, why)
            })?;
        }
        if let Some(path) = &self.keys_file {
            let keys = of_file(path)?;
            self.keys.extend(keys);
        }
        if let Some(folder) = &self.keys_folder {
            let keys = of_folder(folder)?;
            self.keys.extend(keys);
        }
        self.check()
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.keys.len() > MAX_KEYS {
            let why = format!("{} keys are too many: at most {MAX_KEYS}", self.keys.len());
            return Err(ConfigError::invalid("auth.keys", why));
        }
        let mut seen = HashMap::new();
        for key in &self.keys {
            key.check()?;
            if let Some(other) = seen.insert(key.sha256.to_ascii_lowercase(), &key.name) {
                let why = format!(
                    "of keys {other:?} and {:?} is the same: each key needs its own",
                    key.name
                );
                return Err(ConfigError::invalid("auth.keys.sha256", why));
            }
        }
        Ok(())
    }

    /// Reads the keys alone, like [`super::Settings::load`], for a running server.
    ///
    /// # Errors
    /// The first file or key that is wrong.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let variables = Variables::read(sources)?;
        let mut settings = variables.settings()?;
        settings.retain(|name, _| name.starts_with("TALKGRAPH_AUTH__"));
        let builder = Config::builder()
            .add_source(config::File::from_str(EXAMPLE, FileFormat::Toml))
            .add_source(super::settings_file(sources));
        let read = environment::add(builder, settings)
            .build()
            .and_then(|all| all.get::<Self>("auth"));
        let mut auth = read.map_err(|error| super::unreadable(&error))?;
        auth.complete(&variables)?;
        Ok(auth)
    }

    /// A number that differs once a file that keys are read from has changed. Files that
    /// cannot be read are a state of their own.
    pub fn fingerprint(&self, sources: &Sources) -> u64 {
        let default = PathBuf::from(DEFAULT_FILE);
        let settings = sources.file.as_ref().unwrap_or(&default);
        let mut files = vec![settings.clone()];
        files.extend(self.keys_file.clone());
        if let Some(folder) = &self.keys_folder {
            files.extend(names(folder).unwrap_or_default());
        }
        let mut hasher = DefaultHasher::new();
        for file in files {
            file.hash(&mut hasher);
            let text = limited::read_text(&file, MAX_FILE_BYTES);
            text.ok().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The keys of a file, as TOML (`[[keys]]`) or as a list in JSON.
fn of_file(path: &Path) -> Result<Vec<KeySettings>, ConfigError> {
    let text = text(FILE, path)?;
    let keys = match text.trim_start().starts_with('[') && !text.trim_start().starts_with("[[") {
        true => serde_json::from_str(&text).map_err(|error| error.to_string()),
        false => toml::from_str::<KeysFile>(&text)
            .map(|file| file.keys)
            .map_err(|error| in_toml(&error, &text)),
    };
    let keys: Vec<_> = keys.map_err(|why| wrong(FILE, path, &redact::quoted(&why)))?;
    match keys.is_empty() {
        true => Err(wrong(FILE, path, "has no key")),
        false => Ok(keys),
    }
}

/// The keys of a folder, one in each file. Hidden files are not read: Kubernetes keeps the
/// volume's versions there.
fn of_folder(folder: &Path) -> Result<Vec<KeySettings>, ConfigError> {
    let files = names(folder).map_err(|why| wrong(FOLDER, folder, &why))?;
    if files.is_empty() {
        return Err(wrong(FOLDER, folder, "has no file"));
    }
    files.iter().map(|path| of_key_file(path)).collect()
}

fn of_key_file(path: &Path) -> Result<KeySettings, ConfigError> {
    let text = text(FOLDER, path)?;
    let key = match text.trim_start().starts_with('{') {
        true => serde_json::from_str::<KeyFile>(&text).map_err(|error| error.to_string()),
        false => toml::from_str(&text).map_err(|error| in_toml(&error, &text)),
    };
    let key = key.map_err(|why| wrong(FOLDER, path, &redact::quoted(&why)))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    let key = KeySettings {
        name: key
            .name
            .unwrap_or_else(|| stem.unwrap_or_default().into_owned()),
        tenant: key.tenant,
        owner: key.owner,
        sha256: key.sha256,
        scopes: key.scopes,
    };
    let checked = key.check();
    checked.map_err(|error| wrong(FOLDER, path, &error.to_string()))?;
    Ok(key)
}

/// The files of a folder, in the order of their names.
fn names(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().map(|name| name.to_string_lossy());
        let is_hidden = name.is_none_or(|name| name.starts_with('.'));
        // The target of a link counts: Kubernetes links to each file.
        if !is_hidden && path.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(format!("has more than {MAX_FILES} files"));
        }
    }
    files.sort();
    Ok(files)
}

fn text(key: &str, path: &Path) -> Result<String, ConfigError> {
    let read = limited::read_text(path, MAX_FILE_BYTES);
    read.map_err(|error| {
        let why = match error {
            ReadError::File(error) => error.to_string(),
            ReadError::TooLarge => format!("has more than {MAX_FILE_BYTES} bytes"),
            ReadError::NotText => "is not UTF-8".to_owned(),
        };
        wrong(key, path, &why)
    })
}

/// The message and the line of an error, without the text around it.
fn in_toml(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    });
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

fn wrong(key: &str, path: &Path, why: &str) -> ConfigError {
    ConfigError::invalid(key, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests;
