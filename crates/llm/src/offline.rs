//! Parsing of recorded answers in the way of a provider's: for fuzzing and property tests.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::anthropic::Messages;
use super::call_timeouts::{CallTimeouts, Limits};
use super::gemini::GenerateContent;
use super::openai::ChatCompletions;
use super::parts::Parts;
use super::protocol::Protocol;
use super::provider_error::Redaction;
use super::reader::Reader;
use super::response_stream::ResponseStream;
use super::responses::Responses;
use super::signed_reasoning::Bindings;
use super::{PartStream, ProviderKind};

/// A limit that none of them reaches.
const LIMIT: Duration = Duration::from_secs(3_600);

/// The parts of an answer whose body consists of these pieces, with events of at most
/// `max_event_bytes` bytes. Requires a Tokio runtime, for its time limits.
pub fn read_answer(kind: ProviderKind, pieces: Vec<Vec<u8>>, max_event_bytes: usize) -> PartStream {
    let decoder = match kind {
        ProviderKind::OpenAi => ChatCompletions.decoder(),
        ProviderKind::OpenAiResponses => Responses.decoder(),
        ProviderKind::Anthropic => Messages.decoder(),
        ProviderKind::Gemini => GenerateContent.decoder(),
    };
    let timeouts = CallTimeouts::start(Limits {
        first_token: LIMIT,
        idle: LIMIT,
        total: LIMIT,
    });
    let parts = Parts::new("offline".into(), Redaction::default(), Bindings::default());
    let body = pieces
        .into_iter()
        .map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
    let reader = Reader::new(max_event_bytes, decoder);
    ResponseStream::new(stream::iter(body), reader, parts, timeouts).boxed()
}
