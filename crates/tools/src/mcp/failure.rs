//! The meaning of a failed request to a server: for its call, and for the connection.

use rmcp::ServiceError;
use rmcp::model::ErrorData;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::ToolError;
use crate::hidden_characters::escape_hidden;
use crate::output::shortened;
use talkgraph_domain::redact::Known;

/// The longest description of a failure that a model is shown, in bytes.
const FAILURE_BYTES: usize = 2_000;

pub(super) const NOT_THERE: &str = "its MCP server is not there now";

const BROKEN_OFF: &str = "its MCP server ended the answer before it was complete";

/// The codes of JSON-RPC errors with which servers refuse a request of an unknown session: -32000
/// (TypeScript SDK, 400), -32001 (its 404), -32600 (Python SDK).
/// <https://github.com/modelcontextprotocol/typescript-sdk/blob/main/src/server/streamableHttp.ts>
/// <https://github.com/modelcontextprotocol/python-sdk/blob/main/src/mcp/server/streamable_http.py>
const SESSION_CODES: [i32; 4] = [-32_000, -32_001, -32_002, -32_600];

/// Words by which a lost session is recognised.
const SESSION_WORDS: [&str; 12] = [
    "no valid",
    "not found",
    "invalid",
    "expired",
    "terminated",
    "unknown",
    "missing",
    "does not exist",
    "not exist",
    "closed",
    "required",
    "no active",
];

/// The meaning of a failed request.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server no longer knows the session, and has not executed the request.
    SessionLost,
    /// The connection can no longer be used.
    Dead(ToolError),
    /// The call has failed; the connection is intact.
    OfCall(ToolError),
}

impl Failure {
    pub(super) fn of(error: ServiceError, secrets: &Known) -> Self {
        let shown = |words: &str| failed(&secrets.hide(words));
        match error {
            ServiceError::McpError(error) if says_session_lost(&error) => Self::SessionLost,
            ServiceError::McpError(error) => Self::OfCall(ToolError::Failed(shown(&error.message))),
            ServiceError::UnexpectedResponse => {
                Self::OfCall(unreadable("it is no result of a tool"))
            }
            ServiceError::TransportClosed => Self::OfCall(ToolError::Unreachable {
                what: BROKEN_OFF,
                cause: "the stream or connection has ended".to_owned(),
            }),
            ServiceError::TransportSend(error) => {
                let http = error
                    .error
                    .downcast_ref::<StreamableHttpError<reqwest::Error>>();
                let of_http = http.and_then(|http| Self::of_http(http, &shown));
                of_http.unwrap_or_else(|| Self::Dead(unreachable(shown(&error.to_string()))))
            }
            error => Self::Dead(unreachable(shown(&error.to_string()))),
        }
    }

    /// The meaning of an HTTP response that is not an answer; none if there was no response.
    fn of_http(
        error: &StreamableHttpError<reqwest::Error>,
        shown: &impl Fn(&str) -> String,
    ) -> Option<Self> {
        let status = |status| ToolError::Status {
            status,
            body: String::new(),
        };
        Some(match error {
            StreamableHttpError::SessionExpired => Self::SessionLost,
            StreamableHttpError::HttpStatus(error) => Self::OfCall(status(error.status)),
            StreamableHttpError::AuthRequired(_) => Self::OfCall(status(401)),
            StreamableHttpError::InsufficientScope(_) => Self::OfCall(status(403)),
            StreamableHttpError::UnexpectedServerResponse(why) => {
                Self::OfCall(unreadable(&shown(why)))
            }
            StreamableHttpError::UnexpectedContentType(kind) => {
                let kind = shown(kind.as_deref().unwrap_or("none"));
                Self::OfCall(unreadable(&format!("its content type is {kind}")))
            }
            StreamableHttpError::ResponseBodyTooLarge { max_size } => {
                let why = format!("it is longer than {max_size} bytes");
                Self::OfCall(unreadable(&why))
            }
            _ => return None,
        })
    }
}

/// Returns true when a server's error reports an unknown session.
pub(super) fn says_session_lost(error: &ErrorData) -> bool {
    SESSION_CODES.contains(&error.code.0) && names_lost_session(&error.message)
}

/// Returns true when a text names a session that is lost, or a server that was not initialised.
pub(super) fn names_lost_session(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let session = text.contains("session") && SESSION_WORDS.iter().any(|word| text.contains(word));
    session || text.contains("server not initialized")
}

fn unreadable(why: &str) -> ToolError {
    ToolError::Failed(format!("the MCP server's answer cannot be read: {why}"))
}

fn unreachable(cause: String) -> ToolError {
    ToolError::Unreachable {
        what: NOT_THERE,
        cause,
    }
}

/// A description of a failure in the server's words.
pub(super) fn failed(words: &str) -> String {
    escape_hidden(&shortened(words, FAILURE_BYTES)).into_owned()
}

#[cfg(test)]
mod tests {
    use rmcp::model::ErrorCode;

    use super::*;

    #[test]
    fn lost_sessions_are_recognised() {
        for (code, message, lost) in [
            (-32_000, "Bad Request: No valid session ID provided", true),
            (-32_000, "Bad Request: Server not initialized", true),
            (-32_001, "Session not found", true),
            (-32_600, "Session has been terminated", true),
            (-32_600, "Missing session ID", true),
            (-32_603, "Session not found", false),
            (-32_000, "Connection closed", false),
            (-32_602, "the session of the browser is invalid", false),
        ] {
            let error = ErrorData::new(ErrorCode(code), message, None);
            assert_eq!(says_session_lost(&error), lost, "{code} {message}");
        }
    }
}
