//! No shipped text names a model that has ended, or ends within months.

use std::fs;

use crate::support::server::repository;

/// Models that have ended or have an announced end.
///
/// <https://developers.openai.com/api/docs/deprecations>,
/// <https://platform.claude.com/docs/en/about-claude/model-deprecations>,
/// <https://ai.google.dev/gemini-api/docs/deprecations>
const ENDING: [&str; 16] = [
    "gpt-3.5",
    "gpt-4o",
    "gpt-4.1",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5\"",
    "openai/o1",
    "openai/o3",
    "openai/o4",
    "claude-2",
    "claude-3",
    "claude-sonnet-4",
    "claude-haiku-4",
    "gemini-1",
    "gemini-2",
    "gemini-3-pro",
];

#[test]
fn no_shipped_text_names_a_model_that_ends() {
    let mut files = vec!["README.md".to_owned(), "talkgraph.example.toml".to_owned()];
    for folder in ["agents", "docs", "examples"] {
        let Ok(entries) = fs::read_dir(repository(folder)) else {
            continue;
        };
        let names = entries.map(|entry| entry.unwrap().file_name());
        files.extend(names.map(|name| format!("{folder}/{}", name.display())));
    }
    // The page about models has all of them.
    for file in files.iter().filter(|file| *file != "docs/models.md") {
        let Ok(text) = fs::read_to_string(repository(file)) else {
            continue;
        };
        for model in ENDING {
            assert!(!text.contains(model), "{file} names {model}");
        }
    }
    for (_, model) in talkgraph_llm::USUAL_MODELS {
        assert!(
            !ENDING.iter().any(|ending| model.contains(ending)),
            "{model}"
        );
        let text = fs::read_to_string(repository("talkgraph.example.toml")).unwrap();
        assert!(text.contains(model), "the example does not name {model}");
    }
}
