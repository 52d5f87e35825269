//! What an MCP tool answers, as text.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::tool::visible::visible;

/// All parts of a result as one text; what is no text is described.
pub(super) fn flat(result: &CallToolResult) -> String {
    let parts: Vec<String> = result.content.iter().map(part).collect();
    if !parts.is_empty() {
        return parts.join("\n\n");
    }
    // Structured content repeats what the text says, where there is any.
    let structured = result.structured_content.as_ref();
    structured.map(ToString::to_string).unwrap_or_default()
}

fn part(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => described("image", &image.mime_type, &image.data),
        ContentBlock::Audio(audio) => described("audio", &audio.mime_type, &audio.data),
        ContentBlock::Resource(embedded) => resource(&embedded.resource),
        ContentBlock::ResourceLink(link) => {
            format!(
                "[resource: {} ({})]",
                visible(&link.name),
                visible(&link.uri)
            )
        }
        _ => "[content of an unknown type]".to_owned(),
    }
}

fn resource(resource: &ResourceContents) -> String {
    match resource {
        ResourceContents::TextResourceContents { uri, text, .. } => {
            format!("[resource: {}]\n{text}", visible(uri))
        }
        ResourceContents::BlobResourceContents {
            uri,
            mime_type,
            blob,
            ..
        } => {
            let kind = mime_type.as_deref().unwrap_or("application/octet-stream");
            format!("{} {}", described("resource", kind, blob), visible(uri))
        }
        _ => "[resource of an unknown type]".to_owned(),
    }
}

/// Says what Base64 stands for: four characters are three bytes.
fn described(what: &str, mime_type: &str, base64: &str) -> String {
    let bytes = base64.trim_end_matches('=').len() * 3 / 4;
    format!("[{what}: {}, {bytes} bytes, not shown]", visible(mime_type))
}
