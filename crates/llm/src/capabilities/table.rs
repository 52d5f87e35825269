//! The table of rules in `models.toml`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::name;
use talkgraph_domain::capabilities::CapabilityOverrides;

const TABLE: &str = include_str!("models.toml");

/// A protocol, by its name in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ChatProtocol {
    /// OpenAI's Chat Completions.
    ChatCompletions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Google's `generateContent`.
    GenerateContent,
}

/// A rule: overrides for some models. An absent list of protocols, hosts or models matches all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The vendor that the rule is for.
    pub vendor: String,
    /// The vendor's documentation of it.
    pub source: Vec<String>,
    /// The protocols to which it applies.
    #[serde(default)]
    pub protocols: Vec<ChatProtocol>,
    /// The hosts to which it applies: names, or `*.` and the end of names.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The beginnings of model names, up to a separator; `*` matches any characters.
    #[serde(default)]
    pub models: Vec<String>,
    /// The entries.
    #[serde(rename = "set")]
    pub entries: CapabilityOverrides,
}

#[derive(Deserialize)]
struct Table {
    rule: Vec<Rule>,
}

/// All rules, in the order in which they are applied.
pub fn rules() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| match toml::from_str::<Table>(TABLE) {
        Ok(table) => table.rule,
        // A test reads the table, so no build can have this error.
        Err(error) => {
            tracing::error!(%error, "reading the table of models failed");
            Vec::new()
        }
    });
    &RULES
}

/// The rules for a model, in order. Without a protocol, rules for single protocols are left out.
pub(super) fn rules_for<'a>(
    protocol: Option<ChatProtocol>,
    host: &'a str,
    model: &str,
) -> impl Iterator<Item = &'static Rule> + use<'a> {
    let own = name::own(model);
    rules().iter().filter(move |rule| {
        let protocols = rule.protocols.as_slice();
        (protocols.is_empty() || protocol.is_some_and(|one| protocols.contains(&one)))
            && any(&rule.hosts, |pattern| name::is_host(pattern, host))
            && any(&rule.models, |pattern| name::matches(pattern, &own))
    })
}

fn any(patterns: &[String], is_match: impl Fn(&str) -> bool) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| is_match(pattern))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{TABLE, Table};

    #[test]
    fn every_rule_can_be_read_and_names_its_source() {
        let table = toml::from_str::<Table>(TABLE).unwrap();
        assert!(table.rule.len() > 50);
        for rule in &table.rule {
            assert!(!rule.source.is_empty(), "{rule:?}");
            for source in &rule.source {
                assert!(source.starts_with("https://"), "{source}");
            }
        }
    }

    /// Checks that the page in the docs lists each rule with its sources and overrides.
    #[test]
    fn the_docs_have_the_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/models.md");
        let page = std::fs::read_to_string(page).unwrap();
        let table = toml::from_str::<Table>(TABLE).unwrap();
        for rule in &table.rule {
            let is_there = page.lines().any(|line| {
                let of = |texts: &[String]| texts.iter().all(|text| line.contains(text.as_str()));
                line.contains(&rule.vendor) && of(&rule.source) && of(&rule.models)
            });
            assert!(is_there, "docs/models.md lacks {rule:?}");
        }
    }
}
