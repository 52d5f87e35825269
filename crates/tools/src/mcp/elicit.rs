//! Elicitation: questions of a server to the person during a call.
//! <https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation>

use reqwest::Url;
use rmcp::model::{
    ClientCapabilities, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, FormElicitationCapability, InputRequest, InputRequests, InputResponses,
    UrlElicitationCapability,
};
use serde_json::Value;

use super::pending_requests::Reports;
use crate::InputAnswer;
use crate::hidden_characters::{escape_hidden, escape_schema};
use crate::output::shortened;
use talkgraph_domain::InputQuestion;

/// The longest question that a person is shown, in bytes.
const MESSAGE_BYTES: usize = 4_096;
/// The largest schema of an answer, in bytes of JSON.
const SCHEMA_BYTES: usize = 65_536;
/// The longest URL, in bytes.
const URL_BYTES: usize = 8_192;

/// The capabilities of this client: servers may ask, by forms and by URLs.
pub(super) fn capabilities() -> ClientCapabilities {
    let mut capabilities = ClientCapabilities::default();
    let form = FormElicitationCapability::new().with_schema_validation(true);
    let elicitation = ElicitationCapability::new().with_form(form);
    capabilities.elicitation = Some(elicitation.with_url(UrlElicitationCapability::new()));
    capabilities
}

/// Asks the person whose call it is; none if the call is ambiguous, or no one can answer.
pub(super) async fn ask(params: ElicitRequestParams, of: Option<&Reports>) -> ElicitResult {
    let asker = of.and_then(|reports| reports.asker.as_ref().zip(Some(reports)));
    let (Some((asker, reports)), Some(question)) = (asker, question(params, of)) else {
        return ElicitResult::new(ElicitationAction::Decline);
    };
    // Waiting for the person does not count towards the tool's time limit.
    let _held = reports.progress.hold();
    match asker.ask(question).await {
        InputAnswer::Accept(content) => {
            ElicitResult::new(ElicitationAction::Accept).with_content(content)
        }
        InputAnswer::Decline => ElicitResult::new(ElicitationAction::Decline),
        InputAnswer::Dismiss => ElicitResult::new(ElicitationAction::Cancel),
    }
}

/// Answers to the questions of a server before it executes a call (protocol 2026-07-28).
pub(super) async fn answers(requests: InputRequests, reports: &Reports) -> InputResponses {
    let mut responses = InputResponses::new();
    for (name, request) in requests {
        // This client has announced no other capability.
        let InputRequest::Elicitation(request) = request else {
            continue;
        };
        let answer = ask(request.params, Some(reports)).await;
        responses.insert(name, serde_json::to_value(answer).unwrap_or(Value::Null));
    }
    responses
}

/// A question in the form that a person may be shown; none if it is too large or of an unknown
/// kind.
fn question(params: ElicitRequestParams, of: Option<&Reports>) -> Option<InputQuestion> {
    let shown = |message: &str| {
        let hidden = of.map(|reports| reports.secrets.hide(message));
        let message = hidden.as_deref().unwrap_or(message);
        escape_hidden(&shortened(message, MESSAGE_BYTES)).into_owned()
    };
    match params {
        ElicitRequestParams::FormElicitationParams {
            message,
            requested_schema,
            ..
        } => {
            let mut schema = serde_json::to_value(requested_schema).ok()?;
            let fits = schema.to_string().len() <= SCHEMA_BYTES && escape_schema(&mut schema);
            fits.then(|| InputQuestion {
                message: shown(&message),
                schema: Some(schema),
                url: None,
            })
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            let parsed = Url::parse(&url).ok()?;
            let fits = url.len() <= URL_BYTES && matches!(parsed.scheme(), "https" | "http");
            fits.then(|| InputQuestion {
                message: shown(&message),
                schema: None,
                url: Some(parsed.into()),
            })
        }
        _ => None,
    }
}
