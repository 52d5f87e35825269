//! Identifiers: a type prefix and a UUIDv7 (TypeID, specification v0.3), such as
//! `ses_01h455vb4pex5vsknk084sn02q`. They sort by time of creation, and the prefix
//! tells the type.

use type_safe_id::{StaticType, TypeSafeId};

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident, $tag:ident = $prefix:literal;)*) => {$(
        #[doc = concat!("Type tag of ids that begin with `", $prefix, "_`.")]
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $tag;

        impl StaticType for $tag {
            const TYPE: &'static str = $prefix;
        }

        $(#[$doc])*
        pub type $id = TypeSafeId<$tag>;
    )*};
}

ids! {
    /// Names an agent.
    AgentId, AgentTag = "agt";
    /// Names one immutable version of an agent.
    AgentVersionId, AgentVersionTag = "agv";
    /// Names a session.
    SessionId, SessionTag = "ses";
    /// Names a message.
    MessageId, MessageTag = "msg";
    /// Names a run.
    RunId, RunTag = "run";
    /// Names one call of a tool.
    ToolCallId, ToolCallTag = "tcl";
    /// Names a file.
    FileId, FileTag = "fil";
    /// Names one thing that a run waits for.
    InterruptId, InterruptTag = "int";
    /// Names one running server process, which owns the runs it executes.
    NodeId, NodeTag = "nod";
}

/// The type prefix of a TypeID string, or `None` when it has no TypeID's shape.
pub fn prefix_of(id: &str) -> Option<&str> {
    id.rsplit_once('_').map(|(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_their_type() {
        let id = SessionId::new();
        let text = id.to_string();
        assert_eq!(prefix_of(&text), Some("ses"));
        assert_eq!(text.parse::<SessionId>().unwrap(), id);
        assert!(text.parse::<RunId>().is_err());
    }
}
