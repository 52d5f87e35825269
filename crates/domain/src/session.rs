//! Sessions (elsewhere: threads): the conversation a principal has with an agent.

use super::ids::{AgentId, MessageId, RunId, SessionId};
use super::time::Timestamp;

/// A conversation. Its messages form a tree; the head names the visible branch.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The agent that answers.
    pub agent_id: AgentId,
    /// The run that it was made for, where one agent asks another; no list shows such a session.
    pub parent_run: Option<RunId>,
    /// For lists; taken from the first message when nobody gave one.
    pub title: Option<String>,
    /// The client's own data, a JSON object.
    pub metadata: serde_json::Value,
    /// The last message of the visible branch.
    pub head: Option<MessageId>,
    /// How many messages the visible branch has.
    pub branch_length: i32,
    /// The run that was being made when this was read; the rest is as of the same moment.
    pub active_run: Option<ActiveRun>,
    /// How many runs waited for that one.
    pub enqueued_runs: i32,
    /// How many of its runs have had their turn.
    pub turns: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last got a message or was changed.
    pub updated_at: Timestamp,
    /// When it was deleted; only the news of that tells of such a session.
    pub deleted_at: Option<Timestamp>,
}

/// A run that is being made, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRun {
    /// The run.
    pub id: RunId,
    /// The last sequence that its log had then; 0 before the first.
    pub last_sequence: u64,
}

/// The longest title taken from a first message, in characters.
const TITLE_CHARS: usize = 80;

/// A title for a session that begins with `text`: its first line, cut at a word.
pub fn title_from(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    if line.chars().count() <= TITLE_CHARS {
        return Some(line.to_owned());
    }
    let cut: String = line.chars().take(TITLE_CHARS - 1).collect();
    let kept = cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head);
    Some(format!("{}…", kept.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::title_from;

    #[test]
    fn a_title_is_the_first_line_cut_at_a_word() {
        assert_eq!(
            title_from("\n  Hello there \nmore"),
            Some("Hello there".into())
        );
        assert_eq!(title_from("   "), None);
        let long = title_from(&"word ".repeat(40)).unwrap();
        assert!(long.ends_with("word…") && long.chars().count() <= 80);
    }
}
