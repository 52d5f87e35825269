//! The capabilities of the configured models, for `talkgraph models`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::models::{default_models, origin};
use crate::config::{ModelsSettings, PriceSettings, ProviderEntry};
use talkgraph_domain::AgentSpec;
use talkgraph_domain::capabilities::TablePrice;
use talkgraph_llm::Capabilities;

/// One model, as it is printed.
#[derive(Serialize)]
struct Shown {
    protocol: &'static str,
    host: String,
    files: Vec<String>,
    /// The rules of the table that are in force, by vendor and source.
    rules: Vec<String>,
    #[serde(flatten)]
    capabilities: Capabilities,
}

/// A model without known capabilities.
#[derive(Serialize)]
struct Unknown {
    note: &'static str,
}

/// The capabilities of each model that the settings or an agent file name, as TOML.
pub(super) fn known(settings: &ModelsSettings, specs: &[AgentSpec]) -> String {
    let entries = settings.entries();
    let configured: Vec<_> = entries
        .iter()
        .filter(|entry| entry.is_configured())
        .collect();
    let mut printed = String::new();
    for model in named(settings, specs, &configured) {
        let found = model.split_once('/').and_then(|(provider, name)| {
            let entry = entries.iter().find(|entry| entry.name == provider)?;
            Some(shown(entry, name))
        });
        let table = match found {
            Some(shown) => toml::to_string(&BTreeMap::from([(&model, shown)])),
            None => {
                let note = match model.starts_with("embedded/") {
                    true => "runs in this process and takes every parameter",
                    false => "has no provider",
                };
                toml::to_string(&BTreeMap::from([(&model, Unknown { note })]))
            }
        };
        match table {
            Ok(table) => printed += &table,
            Err(error) => tracing::error!(%error, model, "model cannot be printed"),
        }
        printed += "\n";
    }
    printed
}

fn named(
    settings: &ModelsSettings,
    specs: &[AgentSpec],
    configured: &[&ProviderEntry],
) -> BTreeSet<String> {
    let mut names: BTreeSet<_> = default_models(settings).into_iter().collect();
    for spec in specs {
        names.extend(spec.models.iter().cloned());
        names.extend(
            spec.summary
                .iter()
                .flat_map(|summary| summary.models.clone()),
        );
    }
    for entry in configured {
        let own = entry.settings.per_model.keys();
        let own = own.chain(entry.settings.prices.keys());
        names.extend(own.map(|name| format!("{}/{name}", entry.name)));
    }
    names
}

fn shown(entry: &ProviderEntry, name: &str) -> Shown {
    let origin = origin(entry);
    let mut capabilities = origin.capabilities(name);
    if let Some(price) = entry.settings.prices.get(name) {
        capabilities.price = Some(price_of(price));
    }
    let own = entry.settings.per_model.get(name);
    let files = own.and_then(|own| own.files.as_ref());
    let rules = origin.rules(name);
    let sources = rules.iter().flat_map(|rule| {
        let vendor = rule.vendor.as_str();
        rule.source
            .iter()
            .map(move |source| format!("{vendor}: {source}"))
    });
    Shown {
        protocol: origin.protocol.map_or("", Into::into),
        host: origin.host.clone(),
        files: files.unwrap_or(&entry.settings.files).clone(),
        rules: sources.collect(),
        capabilities,
    }
}

fn price_of(price: &PriceSettings) -> TablePrice {
    TablePrice {
        input: price.input_per_million,
        cached_input: price.cached_input_per_million,
        cache_write: price.cache_write_per_million,
        cache_write_1h: price.cache_write_1h_per_million,
        output: price.output_per_million,
        long_prompt: None,
    }
}
