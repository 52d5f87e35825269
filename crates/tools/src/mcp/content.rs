//! Results of MCP tools as outputs, with their shape.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rmcp::model::{CallToolResult, ContentBlock, Resource, ResourceContents};
use serde_json::Value;

use crate::ToolOutput;
use crate::hidden_characters::escape_hidden;
use crate::output::{described, new_file, reference, shortened};
use talkgraph_domain::{File, ResultPart, ResultResource};

/// The longest URI of a resource, in bytes: what servers commonly accept.
const URI_BYTES: usize = 8_192;
/// The longest name, title or description of a resource, in bytes.
const LABEL_BYTES: usize = 1_024;

/// Base64 with or without padding: servers send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Converts a result with its parts. The text for the model covers all of it; parts that are not
/// text are described.
pub(super) fn output(result: CallToolResult) -> ToolOutput {
    let mut reading = Reading::default();
    for block in result.content {
        reading.block(block);
    }
    if let Some(structured) = result.structured_content {
        reading.structured(structured);
    }
    reading.output()
}

/// The state of reading a result.
#[derive(Default)]
struct Reading {
    /// The texts for the model, one a part.
    texts: Vec<String>,
    parts: Vec<ResultPart>,
    files: Vec<File>,
}

impl Reading {
    fn block(&mut self, block: ContentBlock) {
        match block {
            ContentBlock::Text(text) => self.text(text.text),
            ContentBlock::Image(image) => self.file("image", &image.mime_type, &image.data),
            ContentBlock::Audio(audio) => self.file("audio", &audio.mime_type, &audio.data),
            ContentBlock::Resource(embedded) => self.embedded(embedded.resource),
            ContentBlock::ResourceLink(link) => self.link(&link),
            _ => self.text("[content of an unknown type]".to_owned()),
        }
    }

    fn text(&mut self, text: String) {
        self.parts.push(ResultPart::Text {
            text: Some(text.clone()),
        });
        self.texts.push(text);
    }

    fn file(&mut self, what: &str, claimed: &str, base64: &str) {
        let Some(file) = decoded(None, Some(claimed), base64) else {
            let kind = escape_hidden(&shortened(claimed, LABEL_BYTES)).into_owned();
            return self.text(format!("[{what}: {kind}, its content cannot be read]"));
        };
        self.texts.push(described(what, &file));
        self.parts.push(ResultPart::File(reference(&file)));
        self.files.push(file);
    }

    fn link(&mut self, link: &Resource) {
        let mut told = format!("[resource: {} ({})]", label(&link.name), label(&link.uri));
        if let Some(description) = &link.description {
            told = format!("{told} {}", label(description));
        }
        self.texts.push(told);
        let resource = ResultResource {
            uri: uri(&link.uri),
            name: Some(label(&link.name)),
            title: link.title.as_deref().map(label),
            description: link.description.as_deref().map(label),
            mime_type: link.mime_type.as_deref().map(label),
            bytes: link.size,
            text: None,
            file: None,
        };
        self.parts.push(ResultPart::Resource(Box::new(resource)));
    }

    fn embedded(&mut self, contents: ResourceContents) {
        match contents {
            ResourceContents::TextResourceContents {
                uri,
                mime_type,
                text,
                ..
            } => {
                self.texts
                    .push(format!("[resource: {}]\n{text}", label(&uri)));
                let resource = ResultResource {
                    bytes: Some(text.len() as u64),
                    text: Some(text),
                    ..of_uri(&uri, mime_type.as_deref())
                };
                self.parts.push(ResultPart::Resource(Box::new(resource)));
            }
            ResourceContents::BlobResourceContents {
                uri,
                mime_type,
                blob,
                ..
            } => self.blob(&uri, mime_type.as_deref(), &blob),
            _ => self.text("[resource of an unknown type]".to_owned()),
        }
    }

    fn blob(&mut self, uri: &str, mime_type: Option<&str>, base64: &str) {
        let mut resource = of_uri(uri, mime_type);
        let shown = label(uri);
        match decoded(name_of(uri), mime_type, base64) {
            Some(file) => {
                self.texts
                    .push(format!("{} {shown}", described("resource", &file)));
                resource.mime_type = Some(file.mime_type.clone());
                resource.bytes = Some(file.content.len() as u64);
                resource.file = Some(reference(&file));
                self.files.push(file);
            }
            None => self
                .texts
                .push(format!("[resource: its content cannot be read] {shown}")),
        }
        self.parts.push(ResultPart::Resource(Box::new(resource)));
    }

    /// Adds structured content as a part of its own. The model reads it unless a text says the
    /// same, as the protocol recommends.
    /// <https://modelcontextprotocol.io/specification/2025-11-25/server/tools#structured-content>
    fn structured(&mut self, value: Value) {
        let json = value.to_string();
        if !self.texts.iter().any(|text| says(text, &value)) {
            self.texts.push(json.clone());
        }
        self.parts.push(ResultPart::Data { json: Some(json) });
    }

    fn output(self) -> ToolOutput {
        let text = self.texts.join("\n\n");
        let mut parts = self.parts;
        // A part that is the whole text is not stored twice.
        for part in &mut parts {
            match part {
                ResultPart::Text { text: own } if own.as_deref() == Some(&text) => *own = None,
                ResultPart::Data { json } if json.as_deref() == Some(&text) => *json = None,
                _ => {}
            }
        }
        ToolOutput {
            parts,
            files: self.files,
            ..ToolOutput::new(text)
        }
    }
}

/// Returns true if a text says the same as a structured value. Servers that return a plain value
/// wrap it into an object of one field, and repeat it in the text.
fn says(text: &str, value: &Value) -> bool {
    let inner = value.as_object().filter(|fields| fields.len() == 1);
    let inner = inner.and_then(|fields| fields.values().next());
    if inner.is_some_and(|inner| inner.as_str() == Some(text)) {
        return true;
    }
    let said = serde_json::from_str::<Value>(text);
    said.is_ok_and(|said| said == *value || Some(&said) == inner)
}

fn decoded(name: Option<String>, claimed: Option<&str>, base64: &str) -> Option<File> {
    let content = BASE64.decode(base64.trim()).ok()?;
    (!content.is_empty()).then(|| new_file(name, claimed, content))
}

fn of_uri(full: &str, mime_type: Option<&str>) -> ResultResource {
    ResultResource {
        uri: uri(full),
        name: None,
        title: None,
        description: None,
        mime_type: mime_type.map(label),
        bytes: None,
        text: None,
        file: None,
    }
}

/// The last segment of a URI's path, if it looks like a file's name.
fn name_of(uri: &str) -> Option<String> {
    let path = uri.split(['?', '#']).next()?;
    let name = path.rsplit('/').next()?;
    let is_name = name.contains('.') && name.len() <= 255;
    is_name.then(|| escape_hidden(name).into_owned())
}

fn uri(uri: &str) -> String {
    escape_hidden(&shortened(uri, URI_BYTES)).into_owned()
}

fn label(text: &str) -> String {
    escape_hidden(&shortened(text, LABEL_BYTES)).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(result: Value) -> ToolOutput {
        output(serde_json::from_value(result).unwrap())
    }

    fn data(json: &str) -> ResultPart {
        ResultPart::Data {
            json: Some(json.to_owned()),
        }
    }

    #[test]
    fn structured_content_is_a_part_and_read_once() {
        let both = read(json!({
            "content": [{ "type": "text", "text": "{\"b\": 1, \"a\": 2}" }],
            "structuredContent": { "b": 1, "a": 2 },
        }));
        assert_eq!(both.text, "{\"b\": 1, \"a\": 2}");
        let whole = ResultPart::Text { text: None };
        assert_eq!(both.parts, [whole.clone(), data(r#"{"b":1,"a":2}"#)]);
        // The text is a summary: the model needs both.
        let more = read(json!({
            "content": [{ "type": "text", "text": "2 found" }],
            "structuredContent": { "found": ["x", "y"] },
        }));
        assert_eq!(more.text, "2 found\n\n{\"found\":[\"x\",\"y\"]}");
        let wrapped = read(json!({
            "content": [{ "type": "text", "text": "sunny" }],
            "structuredContent": { "result": "sunny" },
        }));
        assert_eq!(wrapped.text, "sunny");
        let alone = read(json!({ "content": [], "structuredContent": { "a": 1 } }));
        assert_eq!(alone.text, r#"{"a":1}"#);
        assert_eq!(alone.parts, [ResultPart::Data { json: None }]);
    }

    #[test]
    fn images_and_resources_keep_their_shape() {
        let png = "iVBORw0KGgo";
        let output = read(json!({ "content": [
            { "type": "text", "text": "Here:" },
            { "type": "image", "data": png, "mimeType": "image/png" },
            { "type": "audio", "data": "!", "mimeType": "audio/wav" },
            { "type": "resource_link", "uri": "file:///a.md", "name": "a", "description": "All.",
              "mimeType": "text/markdown", "size": 7 },
            { "type": "resource", "resource": { "uri": "demo://b", "text": "words" } },
            { "type": "resource", "resource": {
                "uri": "demo://x/c.png", "mimeType": "image/png", "blob": png } },
        ] }));
        assert_eq!(
            output.text,
            "Here:\n\n[image: image/png, 8 bytes]\n\n\
             [audio: audio/wav, its content cannot be read]\n\n\
             [resource: a (file:///a.md)] All.\n\n[resource: demo://b]\nwords\n\n\
             [resource: image/png, 8 bytes] demo://x/c.png"
        );
        assert_eq!(output.parts.len(), 6);
        assert_eq!(output.files.len(), 2);
        assert_eq!(output.files[1].name.as_deref(), Some("c.png"));
        let ResultPart::Resource(link) = &output.parts[3] else {
            panic!("{:?}", output.parts[3]);
        };
        assert_eq!(link.bytes, Some(7));
        assert_eq!(output.files[0].mime_type, "image/png");
    }
}
