//! Subscriptions as Apollo's clients have them over HTTP: `multipart/mixed` with
//! `subscriptionSpec=1.0`.
//!
//! A part ends with the delimiter after it. That goes out together with the part, since a
//! client would otherwise know only from the next event that this one is complete.

use async_graphql::Response as GraphqlResponse;
use serde::Serialize;

use super::accept::MediaType;
use super::frames::{Event, Format};

const HEADERS: &[u8] = b"\r\ncontent-type: application/json\r\n\r\n";
const DELIMITER: &[u8] = b"\r\n--graphql";

pub(super) static FORMAT: Format = Format {
    media_type: MediaType::Multipart,
    // With its line break, by which Apollo Client knows it when it is all that comes before
    // the end.
    hello: DELIMITER,
    keep_alive: b"\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
    write,
    end: b"--\r\n",
    // A body without its end is a broken connection to Apollo Client, which cannot tell why.
    // This is an error of the transport, which its links can act upon by its code.
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
