//! Subscriptions over HTTP for Apollo's clients: `multipart/mixed` with `subscriptionSpec=1.0`.
//!
//! The delimiter after a part ends it. It is sent together with the part; otherwise a client would
//! recognise a complete part only at the next event.

use async_graphql::Response as GraphqlResponse;
use serde::Serialize;

use super::content_negotiation::MediaType;
use super::frames::{Event, Format};

const HEADERS: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
const DELIMITER: &[u8] = b"\r\n--graphql";

pub(super) static FORMAT: Format = Format {
    media_type: MediaType::Multipart,
    // With its line break, by which Apollo Client recognises it directly before the end.
    hello: DELIMITER,
    keep_alive: b"\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
    write,
    end: b"--\r\n",
    // A body without its end is a broken connection to Apollo Client, which cannot tell why.
    // This is a transport error, which its links can handle by its code.
    cut: b"\r\ncontent-type: application/json\r\n\r\n\
        {\"payload\":null,\"errors\":[{\"message\":\"the server is stopping; follow the run \
        with `runEvents(runId, after)`\",\"extensions\":{\"code\":\"UNAVAILABLE\"}}]}\
        \r\n--graphql--\r\n",
};

#[derive(Serialize)]
struct Part<'a> {
    payload: &'a GraphqlResponse,
}

fn write(buffer: &mut Vec<u8>, event: &Event) -> serde_json::Result<()> {
    buffer.extend_from_slice(HEADERS);
    let payload = &event.response;
    serde_json::to_writer(&mut *buffer, &Part { payload })?;
    buffer.extend_from_slice(DELIMITER);
    Ok(())
}
