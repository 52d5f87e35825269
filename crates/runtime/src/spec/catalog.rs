//! The catalog of agents from files: read, checked as a whole, kept in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

use talkgraph_domain::{Agent, AgentId, AgentSpec};
use talkgraph_evaluation::{Evaluator, Whom};

use crate::spec::spec_validation::{MAX_SPEC_BYTES, Rules, check, evaluate};
use crate::spec::team::rules;

/// The most agent files in a folder.
const MAX_FILES: usize = 1_000;

/// The error of an agent file. Names the file and, if there is one, the field.
#[derive(Debug, Error)]
pub enum AgentFileError {
    /// The folder cannot be read.
    #[error("agents folder {folder}: {why}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The problem.
        why: String,
    },
    /// The file does not define a valid agent.
    #[error("agent file {file}: {why}")]
    File {
        /// The file.
        file: PathBuf,
        /// The problem.
        why: String,
    },
}

/// The agents from files, the models of agents that name none, and the rules for definitions.
/// Agents of the API are in the store only.
pub struct Catalog {
    /// Replaced as a whole, so that no reader sees half of a change.
    files: RwLock<Arc<Files>>,
    default_agent: String,
    default_models: Vec<String>,
    rules: Rules,
}

struct Files {
    by_id: HashMap<AgentId, Arc<Agent>>,
    by_name: HashMap<String, Arc<Agent>>,
    default_agent: Arc<Agent>,
}

impl Files {
    fn new(agents: Vec<Agent>, default_agent: &str) -> Option<Self> {
        let agents: Vec<_> = agents.into_iter().map(Arc::new).collect();
        let by_name: HashMap<_, _> = agents
            .iter()
            .map(|agent| (agent.name.clone(), Arc::clone(agent)))
            .collect();
        Some(Self {
            default_agent: Arc::clone(by_name.get(default_agent)?),
            by_id: agents.into_iter().map(|agent| (agent.id, agent)).collect(),
            by_name,
        })
    }
}

impl Catalog {
    /// Creates a catalog of these agents. `None` if none of them is called `default_agent`.
    pub fn new(
        agents: Vec<Agent>,
        default_agent: &str,
        default_models: &[String],
        rules: Rules,
    ) -> Option<Self> {
        Some(Self {
            files: RwLock::new(Arc::new(Files::new(agents, default_agent)?)),
            default_agent: default_agent.to_owned(),
            default_models: default_models.to_vec(),
            rules,
        })
    }

    /// Replaces all agents from files. Returns false, and changes nothing, if the default agent is
    /// missing.
    pub fn replace(&self, agents: Vec<Agent>) -> bool {
        let Some(files) = Files::new(agents, &self.default_agent) else {
            return false;
        };
        *self.files.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
        true
    }

    /// True if the default agent is one of these.
    pub fn has_default(&self, specs: &[AgentSpec]) -> bool {
        specs.iter().any(|spec| spec.name == self.default_agent)
    }

    fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file agent with this name.
    pub fn by_name(&self, name: &str) -> Option<Arc<Agent>> {
        self.files().by_name.get(name).cloned()
    }

    /// The file agent with this id.
    pub fn by_id(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.files().by_id.get(&id).cloned()
    }

    /// The names of the file agents with the numbers of their versions, sorted.
    pub fn versions(&self) -> BTreeMap<String, i32> {
        let files = self.files();
        let agents = files.by_name.values();
        agents
            .map(|agent| (agent.name.clone(), agent.current.number))
            .collect()
    }

    /// The agent of sessions that name none.
    pub fn default_agent(&self) -> Arc<Agent> {
        Arc::clone(&self.files().default_agent)
    }

    /// The rules for agent definitions on this server.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The `provider/model` of an agent, without fallbacks.
    pub fn model_of<'a>(&'a self, spec: &'a AgentSpec) -> &'a str {
        self.models_of(spec).first().map_or("", String::as_str)
    }

    /// Every `provider/model` of an agent, in the order of fallback.
    pub fn models_of<'a>(&'a self, spec: &'a AgentSpec) -> &'a [String] {
        match spec.models.as_slice() {
            [] => &self.default_models,
            own => own,
        }
    }
}

/// The file of an agent in a folder.
fn agent_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.toml"))
}

/// Reads every `*.toml` in a folder, sorted by file name, and checks each against the rules of this
/// server.
///
/// # Errors
/// The first invalid file.
pub async fn read_checked(folder: &Path, rules: &Rules) -> Result<Vec<AgentSpec>, AgentFileError> {
    let specs = read_agent_files(folder, rules.evaluator()).await?;
    for spec in &specs {
        rules
            .check_here(spec)
            .map_err(|error| AgentFileError::File {
                file: agent_file(folder, &spec.name),
                why: error.to_string(),
            })?;
    }
    Ok(specs)
}

/// Reads and checks every `*.toml` in a folder, sorted by file name.
pub async fn read_agent_files(
    folder: &Path,
    evaluator: &Evaluator,
) -> Result<Vec<AgentSpec>, AgentFileError> {
    let (folder, folder_of) = (folder.to_owned(), folder);
    // Reading a thousand files blocks for a while.
    let read = tokio::task::spawn_blocking(move || read_files(&folder)).await;
    let specs = read.map_err(|error| AgentFileError::Folder {
        folder: folder_of.to_owned(),
        why: error.to_string(),
    })??;
    for spec in &specs {
        let evaluated = evaluate(evaluator, Whom::Server, spec).await;
        evaluated.map_err(|error| AgentFileError::File {
            file: agent_file(folder_of, &spec.name),
            why: error.to_string(),
        })?;
    }
    Ok(specs)
}

fn read_files(folder: &Path) -> Result<Vec<AgentSpec>, AgentFileError> {
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
    let specs: Result<Vec<_>, _> = files.iter().map(|file| read_agent_file(file)).collect();
    let specs = specs?;
    let is_there = |name: &str| specs.iter().any(|spec| spec.name == name);
    for (spec, file) in specs.iter().zip(files) {
        let checked = rules::check_team(spec, is_there);
        let checked = checked.and_then(|()| rules::check_cycles(spec, &specs));
        checked.map_err(|error| AgentFileError::File {
            file,
            why: error.to_string(),
        })?;
    }
    Ok(specs)
}

fn read_agent_file(file: &Path) -> Result<AgentSpec, AgentFileError> {
    let wrong = |why: String| AgentFileError::File {
        file: file.to_owned(),
        why,
    };
    let size = std::fs::metadata(file)
        .map_err(|error| wrong(error.to_string()))?
        .len();
    if size > MAX_SPEC_BYTES as u64 {
        return Err(wrong(format!("is larger than {MAX_SPEC_BYTES} bytes")));
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
    check(&spec).map_err(|error| wrong(error.to_string()))?;
    Ok(spec)
}

/// Joins the parser's error, which has several lines, into one.
fn in_one_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let message = error.message().replace('\n', "; ");
    match before {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        let read = read_agent_files(folder.path(), &Evaluator::in_process()).await;
        read.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn the_shipped_agents_are_right() {
        let specs = read_agent_files(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../agents")),
            &Evaluator::in_process(),
        )
        .await
        .unwrap();
        let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["research", "support"]);
    }

    #[tokio::test]
    async fn a_wrong_file_is_refused_with_file_and_field() {
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
                format!("{good}handoffs = ['b']\n"),
                "a.toml: handoffs: there is no agent \"b\"",
            ),
            (
                "a.toml",
                format!("{good}handoffs = ['a']\n"),
                "handoffs: an agent cannot name itself",
            ),
            (
                "a.toml",
                format!("{good}handoffs = ['{}']\n", "b".repeat(60)),
                "handoffs: \"handoff_to_bbb",
            ),
            (
                "a.toml",
                format!("{good}handoffs = ['b']\ntools = ['handoff_to_b']\n"),
                "tools: \"handoff_to_b\" stands for another agent",
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
            let why = refusal(name, &text).await;
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
