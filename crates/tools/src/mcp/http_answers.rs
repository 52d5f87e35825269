//! Responses of servers over HTTP. A response that does not answer the request ends it at once,
//! because the client would wait for an answer that never comes.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rmcp::model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;

use super::failure::{names_lost_session, says_session_lost};
use super::message::{self, Reading, same, unreadable};

type Failure = StreamableHttpError<reqwest::Error>;
type Answer = Result<StreamableHttpPostResponse, Failure>;

/// The statuses with which servers refuse a request of an unknown session. The client detects 404
/// itself.
const SESSION_STATUSES: [&str; 2] = ["HTTP 400", "HTTP 410"];

/// The parts of a message that its answer depends on.
pub(super) struct Asked {
    /// None for a message that has no answer.
    id: Option<RequestId>,
    in_session: bool,
}

impl Asked {
    pub(super) fn new(message: &ClientJsonRpcMessage, in_session: bool) -> Self {
        let id = match message {
            ClientJsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        Self { id, in_session }
    }

    /// The answer in the form that its request can use.
    pub(super) fn answer(self, answer: Answer) -> Answer {
        let Some(id) = self.id else {
            return answer;
        };
        match answer {
            Ok(StreamableHttpPostResponse::Accepted) => Err(no_answer(
                "there is none, although the request was accepted",
            )),
            Ok(StreamableHttpPostResponse::Json(message, session)) => {
                let message = of_request(message, id, self.in_session)?;
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            Ok(StreamableHttpPostResponse::Sse(events, session)) => Ok(
                StreamableHttpPostResponse::Sse(readable(events, id), session),
            ),
            Err(StreamableHttpError::UnexpectedServerResponse(why))
                if self.in_session
                    && SESSION_STATUSES
                        .iter()
                        .any(|status| why.starts_with(status))
                    && names_lost_session(&why) =>
            {
                Err(StreamableHttpError::SessionExpired)
            }
            answer => answer,
        }
    }
}

fn no_answer(why: &'static str) -> Failure {
    StreamableHttpError::UnexpectedServerResponse(why.into())
}

/// The only message of an answer. An error without an id, or with another, belongs to this request:
/// servers cannot always read the message that they refuse.
fn of_request(
    message: ServerJsonRpcMessage,
    id: RequestId,
    in_session: bool,
) -> Result<ServerJsonRpcMessage, Failure> {
    match message {
        ServerJsonRpcMessage::Error(error) if in_session && says_session_lost(&error.error) => {
            Err(StreamableHttpError::SessionExpired)
        }
        ServerJsonRpcMessage::Error(mut error) => {
            error.id = Some(id);
            Ok(ServerJsonRpcMessage::Error(error))
        }
        ServerJsonRpcMessage::Response(answer) if !same(&answer.id, &id) => {
            Err(no_answer("it is of another request"))
        }
        ServerJsonRpcMessage::Request(_) | ServerJsonRpcMessage::Notification(_) => {
            Err(no_answer("it is a message of another kind"))
        }
        answer @ ServerJsonRpcMessage::Response(_) => Ok(answer),
    }
}

/// Events, of which unreadable ones become the failure of the request.
fn readable(
    events: BoxStream<'static, Result<Sse, SseError>>,
    id: RequestId,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let waiting = [id];
    let read = move |mut event: Sse| {
        let is_message = event.event.as_deref().is_none_or(|name| name == "message");
        if let Some(data) = event.data.as_deref().filter(|_| is_message)
            && let Some(read) = reread(data, &waiting)
        {
            event.data = Some(read);
        }
        event
    };
    events.map(move |event| event.map(&read)).boxed()
}

/// The replacement of an event's data; none for one that stays as it is.
fn reread(data: &str, waiting: &[RequestId; 1]) -> Option<String> {
    match serde_json::from_str::<ServerJsonRpcMessage>(data) {
        Ok(ServerJsonRpcMessage::Error(error)) if error.id.is_none() => {}
        Ok(_) => return None,
        Err(_) if data.trim().is_empty() => return None,
        Err(_) => {}
    }
    let message = match message::read(data.as_bytes(), waiting) {
        Reading::Nothing if data.trim_start().starts_with('{') => return None,
        Reading::Nothing => unreadable(waiting[0].clone(), "an event of it is no JSON"),
        reading => reading.message()?,
    };
    serde_json::to_string(&message).ok()
}
