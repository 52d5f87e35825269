//! Limits on the parts of an output.

use std::collections::HashSet;

use super::{CUT, ToolOutput, cut};
use talkgraph_domain::{FileId, ResultFile, ResultPart};

/// Limits on the parts of one output.
#[derive(Debug, Clone, Copy)]
pub struct OutputLimits {
    /// The maximum number of parts.
    pub parts: usize,
    /// The maximum number of files.
    pub files: usize,
    /// The largest file, in bytes.
    pub file_bytes: usize,
}

impl ToolOutput {
    /// Limits the output: `text_bytes` for its text, and again for the texts of all its parts. A
    /// part that exceeds a limit is replaced by a note, which the model reads as well.
    #[must_use]
    pub fn within(mut self, text_bytes: usize, limits: OutputLimits) -> Self {
        let mut bounded = Bounded {
            limits,
            left: text_bytes,
            files: 0,
            notes: Vec::new(),
        };
        let more = self.parts.len().saturating_sub(limits.parts);
        self.parts.truncate(limits.parts);
        let parts = std::mem::take(&mut self.parts).into_iter();
        self.parts = parts.map(|part| bounded.part(part)).collect();
        if more > 0 {
            let most = limits.parts;
            let note = format!("[{more} more parts are left out: a result has at most {most}]");
            self.parts.push(note_part(&note));
            bounded.notes.push(note);
        }
        let named: HashSet<FileId> = self.parts.iter().filter_map(named).collect();
        self.files.retain(|file| named.contains(&file.id));
        let notes = bounded.notes.join("\n");
        if notes.is_empty() {
            return self.capped(text_bytes).plain();
        }
        let mut bounded = self.capped(text_bytes.saturating_sub(notes.len() + 1));
        bounded.text.push('\n');
        bounded.text.push_str(&notes);
        bounded.truncated = true;
        bounded.text = cut(bounded.text, text_bytes.max(CUT.len()));
        bounded.plain()
    }

    /// Removes parts that say no more than the text.
    fn plain(mut self) -> Self {
        if matches!(self.parts.as_slice(), [ResultPart::Text { text: None }]) {
            self.parts.clear();
        }
        self
    }
}

fn named(part: &ResultPart) -> Option<FileId> {
    part.file().map(|file| file.id)
}

fn note_part(note: &str) -> ResultPart {
    ResultPart::Text {
        text: Some(note.to_owned()),
    }
}

struct Bounded {
    limits: OutputLimits,
    /// The bytes that remain for the texts of parts.
    left: usize,
    files: usize,
    notes: Vec<String>,
}

impl Bounded {
    fn part(&mut self, part: ResultPart) -> ResultPart {
        match part {
            ResultPart::Text { text: Some(text) } => ResultPart::Text {
                text: Some(self.text(text)),
            },
            ResultPart::Data { json: Some(json) } if json.len() > self.left => {
                let bytes = json.len();
                self.note(format!("[data of {bytes} bytes is too large and left out]"))
            }
            ResultPart::Data { json: Some(json) } => {
                self.left -= json.len();
                ResultPart::Data { json: Some(json) }
            }
            ResultPart::File(file) => match self.file(&file) {
                Ok(()) => ResultPart::File(file),
                Err(why) => self.note(why),
            },
            ResultPart::Resource(mut resource) => {
                resource.text = resource.text.map(|text| self.text(text));
                if let Some(file) = &resource.file
                    && let Err(why) = self.file(file)
                {
                    resource.file = None;
                    // The link stays.
                    self.notes.push(why);
                }
                ResultPart::Resource(resource)
            }
            part => part,
        }
    }

    fn text(&mut self, text: String) -> String {
        let text = cut(text, self.left);
        self.left = self.left.saturating_sub(text.len());
        text
    }

    fn file(&mut self, file: &ResultFile) -> Result<(), String> {
        let (most, kind, bytes) = (self.limits.file_bytes, &file.mime_type, file.bytes);
        if bytes > most as u64 {
            let why = format!(
                "[{kind} of {bytes} bytes is left out: a file of a result has at most {most}]"
            );
            return Err(why);
        }
        if self.files >= self.limits.files {
            let most = self.limits.files;
            return Err(format!(
                "[{kind} of {bytes} bytes is left out: a result has at most {most} files]"
            ));
        }
        self.files += 1;
        Ok(())
    }

    fn note(&mut self, note: String) -> ResultPart {
        let part = note_part(&note);
        self.notes.push(note);
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{new_file, reference};

    const LIMITS: OutputLimits = OutputLimits {
        parts: 4,
        files: 1,
        file_bytes: 10,
    };

    fn with_files(sizes: &[usize]) -> ToolOutput {
        let mut output = ToolOutput::new("pictures");
        for size in sizes {
            let file = new_file(None, Some("audio/mpeg"), vec![1; *size]);
            output.parts.push(ResultPart::File(reference(&file)));
            output.files.push(file);
        }
        output
    }

    #[test]
    fn files_over_the_limits_become_notes() {
        let output = with_files(&[5, 11, 5, 5, 5]).within(500, LIMITS);
        assert_eq!(output.files.len(), 1);
        assert_eq!(output.parts.len(), 5);
        assert!(output.truncated);
        assert!(
            output.text.contains("11 bytes is left out"),
            "{}",
            output.text
        );
        assert!(output.text.contains("at most 1 files"), "{}", output.text);
        assert!(output.text.contains("1 more parts"), "{}", output.text);
    }

    #[test]
    fn texts_of_parts_are_bounded_together() {
        let part = || ResultPart::Text {
            text: Some("x".repeat(60)),
        };
        let data = ResultPart::Data {
            json: Some("1".repeat(60)),
        };
        let output = ToolOutput {
            parts: vec![part(), part(), data],
            ..ToolOutput::new("short")
        };
        let output = output.within(100, LIMITS);
        let bytes: usize = output.parts.iter().map(ResultPart::bytes).sum();
        assert!(bytes < 200, "{bytes}");
        assert!(matches!(output.parts[2], ResultPart::Text { .. }));
    }

    #[test]
    fn text_alone_has_no_parts() {
        let output = ToolOutput {
            parts: vec![ResultPart::Text { text: None }],
            ..ToolOutput::new("short")
        };
        assert_eq!(output.within(100, LIMITS), ToolOutput::new("short"));
    }
}
