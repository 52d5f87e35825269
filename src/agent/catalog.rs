//! The agents of this server: read from files, checked whole, kept in memory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::domain::agent::MAX_MODELS;
use crate::domain::{Agent, AgentId, AgentSpec};

use super::prompt;
use super::structured::check_output_schema;
use crate::tool::is_valid_name;

/// The most agent files in a folder.
const MAX_FILES: usize = 1_000;
/// The largest agent file, in bytes.
const MAX_FILE_BYTES: u64 = 262_144;

/// The most tools of an agent: what OpenAI takes in one request.
const MAX_TOOLS: usize = 128;

/// Why the agent files cannot be used. Names the file and, where there is one, the field.
#[derive(Debug, Error)]
pub enum AgentFileError {
    /// The folder cannot be read.
    #[error("agents folder {folder}: {why}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file does not describe an agent.
    #[error("agent file {file}: {why}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The agents of this server, with what new runs use.
pub struct Catalog {
    by_id: HashMap<AgentId, Arc<Agent>>,
    by_name: HashMap<String, Arc<Agent>>,
    default_agent: Arc<Agent>,
    default_models: Vec<String>,
}

impl Catalog {
    /// A catalog of these agents. `None` when none of them is called `default_agent`.
    pub fn new(agents: Vec<Agent>, default_agent: &str, default_models: &[String]) -> Option<Self> {
        let agents: Vec<_> = agents.into_iter().map(Arc::new).collect();
        let by_name: HashMap<_, _> = agents
            .iter()
            .map(|agent| (agent.name.clone(), Arc::clone(agent)))
            .collect();
        Some(Self {
            default_agent: Arc::clone(by_name.get(default_agent)?),
            by_id: agents.into_iter().map(|agent| (agent.id, agent)).collect(),
            by_name,
            default_models: default_models.to_vec(),
        })
    }

    /// The agent with this name.
    pub fn by_name(&self, name: &str) -> Option<Arc<Agent>> {
        self.by_name.get(name).cloned()
    }

    /// The agent with this id.
    pub fn by_id(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.by_id.get(&id).cloned()
    }

    /// The agent that answers when none is named.
    pub fn default_agent(&self) -> Arc<Agent> {
        Arc::clone(&self.default_agent)
    }

    /// The `provider/model` an agent runs with, unless it has to fall back.
    pub fn model_of<'a>(&'a self, spec: &'a AgentSpec) -> &'a str {
        self.models_of(spec).first().map_or("", String::as_str)
    }

    /// Every `provider/model` an agent may run with, in the order in which they are asked.
    pub fn models_of<'a>(&'a self, spec: &'a AgentSpec) -> &'a [String] {
        match spec.models.as_slice() {
            [] => &self.default_models,
            own => own,
        }
    }
}

/// Reads and checks every `*.toml` in a folder, sorted by file name.
pub fn read_agent_files(folder: &Path) -> Result<Vec<AgentSpec>, AgentFileError> {
    let wrong_folder = |why: String| AgentFileError::Folder {
        folder: folder.to_owned(),
        why,
    };
    let entries = std::fs::read_dir(folder).map_err(|error| wrong_folder(error.to_string()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(wrong_folder("has no *.toml file".to_owned()));
    }
    if files.len() > MAX_FILES {
        return Err(wrong_folder(format!("has more than {MAX_FILES} files")));
    }
    files.iter().map(|file| read_agent_file(file)).collect()
}

fn read_agent_file(file: &Path) -> Result<AgentSpec, AgentFileError> {
    let wrong = |why: String| AgentFileError::File {
        file: file.to_owned(),
        why,
    };
    let size = std::fs::metadata(file)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if size > MAX_FILE_BYTES {
        return Err(wrong(format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let spec: AgentSpec =
        toml::from_str(&text).map_err(|error| wrong(in_one_line(&text, &error)))?;
    if file
        .file_stem()
        .is_none_or(|stem| stem != spec.name.as_str())
    {
        return Err(wrong(format!(
            "name: {:?} must be the file's name",
            spec.name
        )));
    }
    check(&spec).map_err(wrong)?;
    Ok(spec)
}

/// The reader's own text shows the place over several lines; a start-up error has one.
fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let message = error.message().replace('\n', "; ");
    match before {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

/// Refuses what no run could work with; names the field.
fn check(spec: &AgentSpec) -> Result<(), String> {
    let named = (1..=64).contains(&spec.name.len())
        && spec
            .name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !named {
        return Err("name: must be 1 to 64 lower-case letters, digits and dashes".to_owned());
    }
    if spec.description.trim().is_empty() {
        return Err("description: must not be empty".to_owned());
    }
    prompt::check_instructions(&spec.instructions)
        .map_err(|error| format!("instructions: {error}"))?;
    if spec.models.len() > MAX_MODELS {
        return Err(format!("model: must name at most {MAX_MODELS} models"));
    }
    let named = |model: &String| {
        let parts = model.split_once('/');
        parts.is_some_and(|(provider, name)| !provider.is_empty() && !name.is_empty())
    };
    if !spec.models.iter().all(named) {
        return Err("model: must be provider/model, such as openai/gpt-4.1-mini".to_owned());
    }
    if let Some(schema) = &spec.output_schema {
        check_output_schema(schema).map_err(|why| format!("output_schema: {why}"))?;
    }
    let parameters = &spec.parameters;
    if parameters
        .temperature
        .is_some_and(|value| !(0.0..=2.0).contains(&value))
    {
        return Err("parameters.temperature: must be from 0 to 2".to_owned());
    }
    if parameters
        .top_p
        .is_some_and(|value| !(value > 0.0 && value <= 1.0))
    {
        return Err("parameters.top_p: must be above 0 and at most 1".to_owned());
    }
    if parameters.max_output_tokens == Some(0) {
        return Err("parameters.max_output_tokens: must be at least 1".to_owned());
    }
    if let Some(name) = spec.tools.iter().find(|name| !is_valid_name(name)) {
        return Err(format!("tools: {name:?} is no name of a tool"));
    }
    if spec.tools.len() > MAX_TOOLS {
        return Err(format!("tools: at most {MAX_TOOLS}"));
    }
    if spec.limits.max_steps == Some(0) {
        return Err("limits.max_steps: must be at least 1".to_owned());
    }
    if spec.limits.run_timeout_s == Some(0) {
        return Err("limits.run_timeout_s: must be at least 1".to_owned());
    }
    if spec.limits.step_timeout_s == Some(0) {
        return Err("limits.step_timeout_s: must be at least 1".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        read_agent_files(folder.path()).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_agents_are_right() {
        let specs = read_agent_files(Path::new("agents")).unwrap();
        let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["research", "support"]);
    }

    #[test]
    fn a_wrong_file_is_refused_with_file_and_field() {
        let good = "name = 'a'\ndescription = 'd'\ninstructions = 'i'\n";
        let cases = [
            ("b.toml", good.to_owned(), "b.toml: name"),
            ("a.toml", good.replace("'i'", "'{{ x'"), "instructions: "),
            (
                "a.toml",
                good.replace("'i'", "'{{ nobody }}'"),
                "instructions: ",
            ),
            ("a.toml", format!("{good}toolz = 1\n"), "toolz"),
            ("a.toml", format!("{good}model = 'gpt'\n"), "model: "),
            (
                "a.toml",
                format!("{good}model = ['a/b', 'c/']\n"),
                "model: ",
            ),
            ("a.toml", format!("{good}model = 7\n"), "a list of strings"),
            (
                "a.toml",
                format!("{good}model = {:?}\n", ["a/b"; 9]),
                "model: must name at most 8",
            ),
            (
                "a.toml",
                format!("{good}[parameters]\ntemperature = 3\n"),
                "parameters.temperature: ",
            ),
            (
                "a.toml",
                format!("{good}[output_schema]\ntype = 'object'\nproperties = 7\n"),
                "output_schema: not a usable JSON Schema",
            ),
            (
                "a.toml",
                format!("{good}output_schema = '{{\"type\": \"array\"}}'\n"),
                "output_schema: the JSON Schema of an answer must have",
            ),
            (
                "a.toml",
                format!("{good}output_schema = '{{'\n"),
                "output_schema",
            ),
            (
                "a.toml",
                format!("{good}[limits]\nrun_timeout_s = 0\n"),
                "limits.run_timeout_s: ",
            ),
        ];
        for (name, text, expected) in cases {
            let why = refusal(name, &text);
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
