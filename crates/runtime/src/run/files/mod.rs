//! Files of messages and of tool results in the model's context. Both are stored before the message
//! or the result is.

pub(crate) mod mime;
pub(crate) mod result_files;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use talkgraph_domain::{Agent, File, FileId, Message, Part, Principal};
use talkgraph_llm::{Content, FileData};
use talkgraph_store::StoreError;

use crate::run::services::RunServices;

/// The most bytes of files in one request, the newest first: the providers' limit, less the
/// overhead of Base64. <https://ai.google.dev/gemini-api/docs/document-processing>
const SHOWN_BYTES: u64 = 15_728_640;

/// The contents of the files in a model's context.
pub(crate) type FileContents = HashMap<FileId, File>;

/// Loads the files of a history that a model of the agent accepts, the newest first, within the
/// limit for one request.
pub(crate) async fn load_shown_files(
    services: &RunServices,
    who: &Principal,
    agent: &Agent,
    history: &[Message],
) -> Result<FileContents, StoreError> {
    let newest_first = history.iter().rev().flat_map(|message| &message.parts);
    let mut shown = FileContents::new();
    add_shown_files(services, who, agent, newest_first, &mut shown).await?;
    Ok(shown)
}

/// Adds the files of these parts that a model of the agent accepts, in this order, within the limit
/// for one request.
pub(crate) async fn add_shown_files(
    services: &RunServices,
    who: &Principal,
    agent: &Agent,
    parts: impl Iterator<Item = &Part>,
    shown: &mut FileContents,
) -> Result<(), StoreError> {
    let models = services.catalog.models_of(&agent.current.spec);
    let takes = |mime_type: &str| {
        let mut models = models.iter();
        models.any(|model| services.models.takes_file(model, mime_type))
    };
    let used: usize = shown.values().map(|file| file.content.len()).sum();
    let mut room = SHOWN_BYTES.saturating_sub(used as u64);
    let mut ids = Vec::new();
    for (id, mime_type, bytes) in parts.flat_map(files_of) {
        if !takes(mime_type) || shown.contains_key(&id) {
            continue;
        }
        if let Some(left) = room.checked_sub(bytes) {
            room = left;
            ids.push(id);
        }
    }
    if !ids.is_empty() {
        let files = services.store.files_by_id(who, &ids).await?;
        shown.extend(files.into_iter().map(|file| (file.id, file)));
    }
    Ok(())
}
/// The files of a part: id, type and bytes.
fn files_of(part: &Part) -> Vec<(FileId, &str, u64)> {
    match part {
        Part::File {
            id,
            mime_type,
            bytes,
            ..
        } => vec![(*id, mime_type, *bytes)],
        Part::ToolResult(result) => {
            let files = result.files();
            let files = files.map(|file| (file.id, file.mime_type.as_str(), file.bytes));
            files.collect()
        }
        _ => Vec::new(),
    }
}

/// The parts for the files of a message.
pub(crate) fn parts(files: &[File]) -> impl Iterator<Item = Part> + '_ {
    files.iter().map(|file| Part::File {
        id: file.id,
        name: file.name.clone(),
        mime_type: file.mime_type.clone(),
        bytes: file.content.len() as u64,
    })
}

/// The content of a user message for a model.
pub(crate) fn user_content(parts: &[Part], contents: &FileContents) -> Vec<Content> {
    let content = |part: &Part| match part {
        Part::Text { text } if !text.is_empty() => Some(Content::Text(text.clone())),
        Part::File {
            id,
            name,
            mime_type,
            ..
        } => Some(match contents.get(id) {
            Some(file) => Content::File {
                media_type: mime_type.clone(),
                data: FileData::Base64(STANDARD.encode(&file.content)),
                name: name.clone(),
            },
            None => Content::Text(format!(
                "\n[a file of type {mime_type} is not shown here]\n"
            )),
        }),
        _ => None,
    };
    parts.iter().filter_map(content).collect()
}
