//! GraphQL over Server-Sent Events, in the graphql-sse protocol's distinct connections mode: one
//! request, one stream of `next` events, then `complete`. Run events carry their `sequence` as
//! `id`, which a browser's `EventSource` sends when it reconnects.

use std::io::Write;

use super::content_negotiation::MediaType;
use super::frames::{Event, Format};

/// A comment, which clients ignore.
const COMMENT: &[u8] = b":\n\n";

pub(super) static FORMAT: Format = Format {
    media_type: MediaType::EventStream,
    hello: COMMENT,
    keep_alive: COMMENT,
    write,
    end: b"event: complete\ndata:\n\n",
    // Without `complete` the client resumes elsewhere, from its last event.
    cut: b"",
};

fn write(buffer: &mut Vec<u8>, event: &Event) -> serde_json::Result<()> {
    buffer.extend_from_slice(b"event: next\n");
    if let Some(id) = event.id {
        writeln!(buffer, "id: {id}").map_err(serde_json::Error::io)?;
    }
    buffer.extend_from_slice(b"data: ");
    // JSON escapes line breaks, so the data is one line.
    serde_json::to_writer(&mut *buffer, &event.response)?;
    buffer.extend_from_slice(b"\n\n");
    Ok(())
}
