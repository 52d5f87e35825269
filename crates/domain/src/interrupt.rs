//! Interrupts: requests to a person or the client that pause a run, and their resolutions.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

use super::ids::{InterruptId, RunId, SessionId, ToolCallId};
use super::time::Timestamp;

/// The kind of resolution that a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum InterruptKind {
    /// A person has to approve a call of one of the server's tools.
    ToolApproval,
    /// The client has to execute a call of one of its own tools.
    ClientToolCall,
    /// A tool's server asks the person a question during a call, which continues meanwhile.
    InputRequest,
}

/// A question of a tool's server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputQuestion {
    /// The question, for the person.
    pub message: String,
    /// The JSON Schema of the answer's content; none if there is a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The page where the person answers; the content does not pass through this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One tool call for which a run waits for a person or the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupt {
    /// Its id.
    pub id: InterruptId,
    /// The kind of interrupt.
    pub kind: InterruptKind,
    /// The run that waits.
    pub run_id: RunId,
    /// The session of that run.
    pub session_id: SessionId,
    /// The call.
    pub tool_call_id: ToolCallId,
    /// The tool's name.
    pub tool: String,
    /// The valid arguments, as the model wrote them.
    pub arguments: Value,
    /// Time at which the run began to wait.
    pub created_at: Timestamp,
    /// Time at which the interrupt expires.
    pub expires_at: Timestamp,
    /// The resolution, once there is one.
    pub resolution: Option<Resolved>,
    /// The question of an [`InterruptKind::InputRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<InputQuestion>,
}

/// A resolution and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The resolution.
    pub resolution: Resolution,
    /// Time of the resolution.
    pub at: Timestamp,
}

/// The resolution of an interrupt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase"
)]
pub enum Resolution {
    /// The call is approved.
    Approved {
        /// Arguments that replace the model's; the model's are kept when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
    },
    /// The call is rejected.
    Rejected {
        /// The reason, as the model is shown it.
        reason: String,
    },
    /// The client has executed the call.
    Result {
        /// The result, as the model is shown it.
        text: String,
        /// True if the call failed.
        is_error: bool,
        /// True if the text was cut to the server's limit.
        truncated: bool,
        /// True if the client returned a value, of which the text is the JSON form.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_json: bool,
    },
    /// The person has accepted a question and answered it.
    Accepted {
        /// The answer, valid against the question's schema; an empty object for a URL.
        content: Value,
    },
    /// The person declines to answer a question.
    Declined,
    /// The person has dismissed a question.
    Dismissed,
    /// The interrupt has expired without a resolution.
    Expired,
    /// The run ended before the interrupt was resolved.
    Closed,
}

/// The interrupt has a different resolution already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has a different resolution already")]
pub struct AlreadyResolved(pub InterruptId);

impl Interrupt {
    /// Returns true if the interrupt has no resolution.
    pub fn is_open(&self) -> bool {
        self.resolution.is_none()
    }

    /// Resolves the interrupt. Resolving it again in the same way is no change: returns true if
    /// anything changed.
    ///
    /// # Errors When it has a different resolution.
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

    /// The arguments with which a person has replaced the model's.
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
    fn first_resolution_is_final() {
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
