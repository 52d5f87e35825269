//! Sessions (elsewhere: threads): conversations of a principal with an agent.

use super::ids::{AgentId, MessageId, RunId, SessionId};
use super::time::Timestamp;

/// A conversation. Its messages form a tree; the head names the visible branch.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The agent that answers.
    pub agent_id: AgentId,
    /// The run that created it, if one agent called another; lists do not show such sessions.
    pub parent_run: Option<RunId>,
    /// The title for lists; taken from the first message if none was given.
    pub title: Option<String>,
    /// The client's own data, a JSON object.
    pub metadata: serde_json::Value,
    /// The last message of the visible branch.
    pub head: Option<MessageId>,
    /// The number of messages in the visible branch.
    pub branch_length: i32,
    /// The run that was active when this was read; both were read at the same moment.
    pub active_run: Option<ActiveRun>,
    /// The number of runs that waited for that one.
    pub enqueued_runs: i32,
    /// The number of its runs that have started.
    pub turns: i32,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of its last message or change.
    pub updated_at: Timestamp,
    /// Time of deletion; set only in the change event of the deletion.
    pub deleted_at: Option<Timestamp>,
}

/// An active run at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveRun {
    /// The run.
    pub id: RunId,
    /// The last sequence of its log at that moment; 0 before the first.
    pub last_sequence: u64,
}

/// The longest title taken from a first message, in characters.
const TITLE_CHARS: usize = 80;

/// A title for a session whose first message is `text`: its first line, cut at a word.
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
