//! Registration of a server's tools.

use std::collections::BTreeSet;
use std::sync::Arc;

use rmcp::model::Tool as Listed;
use serde_json::Value;
use tokio::time::timeout;

use super::call::McpTool;
use super::keeper::{Keeper, Names, REASON_BYTES};
use super::names::{self, Name, SEPARATOR, prefix};
use crate::hidden_characters::{escape_hidden, escape_schema};
use crate::output::shortened;
use crate::{Approval, Tool, ToolDefinition, UnavailableTool};

/// The longest description of a tool that models are shown, in bytes.
const DESCRIPTION_BYTES: usize = 4_096;

/// The longest original name of a tool that is shown, in bytes.
const ORIGINAL_BYTES: usize = 256;

/// A tool and its definition.
type Offered = (ToolDefinition, Arc<dyn Tool>);

impl Keeper {
    /// Replaces a server's tools. Those that cannot be offered are listed as unavailable. Each list
    /// of tools is logged once.
    pub(super) async fn register(&self, listed: Vec<Listed>, known: &mut Names) {
        let server = &*self.spec.name;
        let all: BTreeSet<_> = listed.iter().map(|tool| tool.name.to_string()).collect();
        let is_new = known.as_ref() != Some(&all);
        let (count, (tools, refused)) = (listed.len(), self.tools(listed));
        let replaced = self.registry.replace(&self.spec.name, tools, refused);
        let Ok(unavailable) = timeout(self.spec.start_timeout, replaced).await else {
            tracing::warn!(
                server,
                "checking the schemas of an MCP server's tools timed out"
            );
            return;
        };
        let kept = count.saturating_sub(unavailable.len());
        if let Some(first) = unavailable.first().filter(|_| is_new) {
            let left_out = unavailable.len();
            let why = format!("{:?}: {}", first.name, first.reason);
            let why = shortened(&escape_hidden(&why), REASON_BYTES);
            tracing::warn!(server, left_out, why, "MCP tools unusable");
        }
        if is_new {
            tracing::info!(server, tools = kept, "MCP server connected");
        } else {
            tracing::debug!(server, tools = kept, "MCP tools listed again");
        }
        *known = Some(all);
    }

    /// The tools under their mapped names, and those that have none or cannot be shown.
    fn tools(&self, listed: Vec<Listed>) -> (Vec<Offered>, Vec<UnavailableTool>) {
        let server = &*self.spec.name;
        let servers: Vec<_> = self.spec.others.iter().map(String::as_str).collect();
        let originals: Vec<_> = listed.iter().map(|tool| &*tool.name).collect();
        let named = names::assign(server, &servers, &originals);
        let (mut tools, mut refused) = (Vec::new(), Vec::new());
        for (tool, name) in listed.into_iter().zip(named) {
            let original = format!("{}{SEPARATOR}{}", prefix(server), tool.name);
            let name_or_why = name.map_err(|why| (shown(&original), why));
            let tool = name_or_why.and_then(|name| self.tool(tool, name));
            match tool {
                Ok(tool) => tools.push(tool),
                Err((name, reason)) => refused.push(UnavailableTool {
                    name,
                    reason: reason.to_owned(),
                }),
            }
        }
        (tools, refused)
    }

    /// A tool under its mapped name, or the name and the reason why it cannot be used.
    fn tool(
        &self,
        listed: Listed,
        Name { name, plain }: Name,
    ) -> Result<Offered, (String, &'static str)> {
        let mut parameters = Value::Object((*listed.input_schema).clone());
        if !escape_schema(&mut parameters) {
            return Err((name, "its parameters have hidden characters"));
        }
        let hints = listed.annotations.as_ref();
        let idempotent = hints.is_some_and(|hints| {
            hints.read_only_hint == Some(true) || hints.idempotent_hint == Some(true)
        });
        let original = format!("{}{SEPARATOR}{}", self.spec.name, listed.name);
        // A setting for the name without its digest applies to all tools that share it.
        let names = [&name, &plain, &original];
        let approval = names.iter().find_map(|name| self.spec.approvals.get(*name));
        let description = listed.description.as_deref().unwrap_or_default();
        let definition = ToolDefinition {
            description: described(description, &name, &listed.name),
            parameters,
            idempotent,
            approval: approval.cloned().unwrap_or(Approval::Never),
            timeout: self.spec.timeout,
            output_bytes: self.spec.output_bytes,
            name,
        };
        let tool = McpTool {
            line: Arc::clone(&self.line),
            name: listed.name.into_owned(),
            forward_headers: Arc::clone(&self.forward),
            secrets: self.secrets.clone(),
            progress_timeout: self.spec.progress_timeout,
            progress_message_bytes: self.spec.progress_message_bytes,
            as_task: false.into(),
        };
        Ok((definition, Arc::new(tool)))
    }
}

/// A description for models, with the name on the server if that is another one.
fn described(description: &str, name: &str, original: &str) -> String {
    let mut text = escape_hidden(&shortened(description, DESCRIPTION_BYTES)).into_owned();
    let is_same = name
        .split_once(SEPARATOR)
        .is_some_and(|(_, own)| own == original);
    if !is_same {
        let space = if text.is_empty() { "" } else { "\n\n" };
        text += &format!("{space}Its name on the server: {}", shown(original));
    }
    text
}

fn shown(name: &str) -> String {
    shortened(&escape_hidden(name), ORIGINAL_BYTES)
}
