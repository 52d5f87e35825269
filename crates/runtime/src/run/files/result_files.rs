//! Files of tool results.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::run::files::{FileContents, files_of};
use crate::run::services::RunServices;
use crate::run::store_retry::retry_while_unavailable;
use talkgraph_domain::{Part, Principal, ResultPart, RunId, ToolCallId, ToolResult};
use talkgraph_llm::{Content, FileData};
use talkgraph_store::SharedStore;
use talkgraph_tools::ToolOutput;

/// Stores the files of one run's tool results, within the limit of the run.
#[derive(Clone)]
pub(crate) struct ResultFiles {
    store: SharedStore,
    run: RunId,
    most: u64,
    /// The bytes that the run may still store.
    left: Arc<AtomicU64>,
    outage_limit: Duration,
}

impl ResultFiles {
    /// Creates the store of a run whose message has these parts so far.
    pub(crate) fn new(services: &RunServices, run: RunId, parts: &[Part]) -> Self {
        let most = services.limits.result_file_bytes;
        let stored = parts.iter().flat_map(files_of);
        let stored: u64 = stored.map(|(_, _, bytes)| bytes).sum();
        Self {
            store: Arc::clone(&services.store),
            run,
            most,
            left: Arc::new(AtomicU64::new(most.saturating_sub(stored))),
            outage_limit: services.limits.store_outage,
        }
    }

    /// Stores the files of an output and returns the result that refers to them. If the limit is
    /// reached or the database is unavailable, the result says so instead.
    pub(crate) async fn keep(
        &self,
        who: &Principal,
        call: ToolCallId,
        output: ToolOutput,
    ) -> ToolResult {
        let mut result = ToolResult {
            truncated: output.truncated,
            parts: output.parts,
            ..ToolResult::of_text(call, output.text, false)
        };
        if output.files.is_empty() {
            return result;
        }
        let bytes = output.files.iter().map(|file| file.content.len() as u64);
        if !self.take(bytes.sum()) {
            let most = self.most;
            let why = format!("[not kept: the files of this run's results exceed {most} bytes]");
            leave_out(&mut result, &why);
            return result;
        }
        let save = || self.store.save_result_files(who, self.run, &output.files);
        if let Err(error) = retry_while_unavailable(self.outage_limit, save).await {
            tracing::warn!(run = %self.run, %call, %error, "files of a tool result were not stored");
            leave_out(&mut result, "[its files could not be stored]");
        }
        result
    }

    fn take(&self, bytes: u64) -> bool {
        let left = &self.left;
        let taken = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
            left.checked_sub(bytes)
        });
        taken.is_ok()
    }
}

/// Replaces the files of a result by a note.
fn leave_out(result: &mut ToolResult, why: &str) {
    for part in &mut result.parts {
        match part {
            ResultPart::File(_) => {
                *part = ResultPart::Text {
                    text: Some(why.to_owned()),
                };
            }
            ResultPart::Resource(resource) => resource.file = None,
            // The part was the whole text, which is longer now.
            ResultPart::Text { text: text @ None } => *text = Some(result.text.clone()),
            ResultPart::Data { json: json @ None } => *json = Some(result.text.clone()),
            ResultPart::Text { .. } | ResultPart::Data { .. } => {}
        }
    }
    result.text.push('\n');
    result.text.push_str(why);
    result.truncated = true;
}

/// The content of a tool result for a model: its text, then its files. The text mentions files that
/// are not included.
pub(crate) fn result_content(
    result: &ToolResult,
    name: String,
    files: &FileContents,
) -> Vec<Content> {
    let mut text = result.text.clone();
    let mut shown = Vec::new();
    for file in result.files() {
        match files.get(&file.id) {
            Some(content) => shown.push(Content::File {
                media_type: file.mime_type.clone(),
                data: FileData::Base64(STANDARD.encode(&content.content)),
                name: file.name.clone(),
            }),
            None => {
                let kind = &file.mime_type;
                text.push_str(&format!("\n[the file of type {kind} is not shown here]"));
            }
        }
    }
    let mut given = vec![Content::ToolResult {
        call_id: result.tool_call_id.to_string(),
        name,
        text,
        is_error: result.is_error,
    }];
    given.append(&mut shown);
    given
}
