//! Identifiers: a type prefix and a UUIDv7 (TypeID, specification v0.3), such as
//! `ses_01h455vb4pex5vsknk084sn02q`. They sort by time of creation, and the prefix identifies the
//! type.

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
    /// Identifies an agent.
    AgentId, AgentTag = "agt";
    /// Identifies one immutable version of an agent.
    AgentVersionId, AgentVersionTag = "agv";
    /// Identifies a session.
    SessionId, SessionTag = "ses";
    /// Identifies a message.
    MessageId, MessageTag = "msg";
    /// Identifies a run.
    RunId, RunTag = "run";
    /// Identifies one tool call.
    ToolCallId, ToolCallTag = "tcl";
    /// Identifies a file.
    FileId, FileTag = "fil";
    /// Identifies one interrupt of a run.
    InterruptId, InterruptTag = "int";
    /// Identifies one running server process, which owns the runs that it executes.
    NodeId, NodeTag = "nod";
}

/// The type prefix of a TypeID string, or `None` if the string does not have the form of a TypeID.
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
