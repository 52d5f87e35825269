//! `memory_save` and `memory_search`: the memories of an owner.

mod rank;

use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Tool, ToolContext, ToolError, ToolOutput};
use talkgraph_domain::{Memory, Principal};

/// Storage of memories.
#[async_trait]
pub trait Memories: Send + Sync {
    /// Saves a text; the oldest memories above the limit are deleted.
    ///
    /// # Errors For the log.
    async fn save(&self, who: &Principal, text: String) -> Result<(), String>;

    /// All memories of an owner, latest first.
    ///
    /// # Errors For the log.
    async fn all(&self, who: &Principal) -> Result<Vec<Memory>, String>;
}

/// Saves a memory for the owner of a run.
pub struct MemorySave(pub Arc<dyn Memories>);

/// Finds memories of the owner of a run.
pub struct MemorySearch(pub Arc<dyn Memories>);

/// The longest memory, in characters: a sentence or two.
const MEMORY_CHARS: usize = 1_000;

/// The longest query, in characters.
const QUERY_CHARS: usize = 500;

/// The maximum number of results.
const FOUND: usize = 10;

#[derive(Deserialize)]
struct Saved {
    text: String,
}

#[derive(Deserialize)]
struct Sought {
    #[serde(default)]
    query: String,
}

impl MemorySave {
    /// The tool's name.
    pub const NAME: &str = "memory_save";

    /// The tool's description for models.
    pub const DESCRIPTION: &str = "Remembers a fact about the person you talk with for later \
        conversations, such as a preference or a name. Save one fact at a time, as a whole \
        sentence that is clear without this conversation.";

    /// The JSON Schema of its arguments.
    pub fn parameters() -> Value {
        json!({
            "type": "object",
            "properties": {
                "text": {
                    "type": "string",
                    "description": "What to remember, as one sentence.",
                    "minLength": 1,
                    "maxLength": MEMORY_CHARS,
                },
            },
            "required": ["text"],
            "additionalProperties": false,
        })
    }
}

impl MemorySearch {
    /// The tool's name.
    pub const NAME: &str = "memory_search";

    /// The tool's description for models.
    pub const DESCRIPTION: &str = "Finds what was remembered about the person you talk with in \
        earlier conversations, by words. Without words it gives the latest.";

    /// The JSON Schema of its arguments.
    pub fn parameters() -> Value {
        json!({
            "type": "object",
            "properties": {
                "query": {
                    "type": "string",
                    "description": "Words to look for.",
                    "maxLength": QUERY_CHARS,
                },
            },
            "additionalProperties": false,
        })
    }
}

#[async_trait]
impl Tool for MemorySave {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let Saved { text } = serde_json::from_value(arguments).map_err(ToolError::internal)?;
        let text = text.trim();
        // U+0000 cannot be stored in every database, and is not part of any text.
        if text.is_empty() || text.contains('\0') {
            let why = "there is nothing to remember in this text".to_owned();
            return Err(ToolError::Failed(why));
        }
        let saved = self.0.save(&context.principal, text.to_owned()).await;
        saved.map_err(ToolError::internal)?;
        Ok(ToolOutput::new("remembered"))
    }
}

#[async_trait]
impl Tool for MemorySearch {
    async fn call(&self, context: &ToolContext, arguments: Value) -> Result<ToolOutput, ToolError> {
        let Sought { query } = serde_json::from_value(arguments).map_err(ToolError::internal)?;
        let all = self.0.all(&context.principal).await;
        let found = rank::best(all.map_err(ToolError::internal)?, &query, FOUND);
        let mut told = String::new();
        for memory in &found {
            // Writing to a string cannot fail.
            let _ = writeln!(told, "- {} ({})", memory.text, memory.saved_at.date_naive());
        }
        Ok(ToolOutput::new(match told.trim_end() {
            "" => "nothing is remembered about this",
            told => told,
        }))
    }
}
