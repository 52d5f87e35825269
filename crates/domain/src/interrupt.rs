//! Interrupts: what a run waits for, and how it was answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

use super::ids::{InterruptId, RunId, SessionId, ToolCallId};
use super::time::Timestamp;

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum InterruptKind {
    /// A person has to approve a call of one of the server's tools.
    ToolApproval,
    /// The client has to make a call of one of its own tools.
    ClientToolCall,
    /// The server of a tool asks the person something during a call, which goes on meanwhile.
    InputRequest,
}

/// A question of a tool's server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputQuestion {
    /// The question, for the person.
    pub message: String,
    /// The JSON Schema of the content of an answer; none if there is a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The page where the person answers; the content does not pass through this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One call of a tool about which a run waits for a person or the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupt {
    /// Its id.
    pub id: InterruptId,
    /// What is waited for.
    pub kind: InterruptKind,
    /// The run that waits.
    pub run_id: RunId,
    /// The session of that run.
    pub session_id: SessionId,
    /// The call.
    pub tool_call_id: ToolCallId,
    /// The tool's name.
    pub tool: String,
    /// The arguments as the model wrote them; they are valid.
    pub arguments: Value,
    /// Since when the run waits.
    pub created_at: Timestamp,
    /// From when on nobody's answer is waited for any more.
    pub expires_at: Timestamp,
    /// How it was answered, once it was.
    pub resolution: Option<Resolved>,
    /// The question of an [`InterruptKind::InputRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<InputQuestion>,
}

/// An answer, and when it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The answer.
    pub resolution: Resolution,
    /// When it came.
    pub at: Timestamp,
}

/// How an interrupt is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Resolution {
    /// The call may be made.
    Approved {
        /// With these arguments in the place of the model's, which are kept when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
    },
    /// The call is not made.
    Rejected {
        /// What the model is told.
        reason: String,
    },
    /// The client has made the call.
    Result {
        /// What the model is told.
        text: String,
        /// Whether the call failed.
        is_error: bool,
        /// Whether the text was cut to the server's limit.
        truncated: bool,
        /// True if the client gave a value, of which the text is the JSON text.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_json: bool,
    },
    /// The person has answered a question.
    Accepted {
        /// The answer, valid against the question's schema; an empty object for a URL.
        content: Value,
    },
    /// The person does not want to answer a question.
    Declined,
    /// The person has dismissed a question.
    Dismissed,
    /// Nobody answered in time.
    Expired,
    /// The run ended before anybody answered.
    Closed,
}

/// An interrupt was answered before, and differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} was answered before, and differently")]
pub struct AlreadyResolved(pub InterruptId);

impl Interrupt {
    /// Whether nobody has answered it.
    pub fn is_open(&self) -> bool {
        self.resolution.is_none()
    }

    /// Answers it. The same answer once more changes nothing: returns whether it did.
    ///
    /// # Errors
    /// When it has another answer already.
    pub fn resolve(
        &mut self,
        resolution: Resolution,
        at: Timestamp,
    ) -> Result<bool, AlreadyResolved> {
        match &self.resolution {
            Some(earlier) if earlier.resolution == resolution => Ok(false),
            Some(_) => Err(AlreadyResolved(self.id)),
            None => {
                self.resolution = Some(Resolved { resolution, at });
                Ok(true)
            }
        }
    }

    /// The arguments that a person has put in the place of the model's.
    pub fn edited_arguments(&self) -> Option<&Value> {
        match &self.resolution.as_ref()?.resolution {
            Resolution::Approved { arguments } => arguments.as_ref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    #[test]
    fn the_first_answer_stands() {
        let at = now();
        let mut interrupt = Interrupt {
            id: InterruptId::new(),
            kind: InterruptKind::ToolApproval,
            run_id: RunId::new(),
            session_id: SessionId::new(),
            tool_call_id: ToolCallId::new(),
            tool: "calculator".into(),
            arguments: serde_json::json!({ "expression": "1+1" }),
            created_at: at,
            expires_at: at,
            resolution: None,
            question: None,
        };
        let approved = Resolution::Approved { arguments: None };
        assert!(interrupt.is_open());
        assert_eq!(interrupt.resolve(approved.clone(), at), Ok(true));
        assert_eq!(interrupt.resolve(approved, now()), Ok(false));
        let other = interrupt.resolve(Resolution::Expired, at);
        assert_eq!(other, Err(AlreadyResolved(interrupt.id)));
        let text = serde_json::to_string(&interrupt).unwrap();
        assert_eq!(serde_json::from_str::<Interrupt>(&text).unwrap(), interrupt);
    }
}
