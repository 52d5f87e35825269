//! An answer up to its first token, and from there on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};

use super::breakers::Pass;
use super::settle;
use crate::{LlmError, PartStream, StreamPart};
use talkgraph_domain::{FinishReason, Usage};
use talkgraph_resilience::Place;

/// An answer whose first token is there.
pub(super) struct Begun {
    /// What came before it: some providers begin with the usage. The last one counts.
    usage: Option<Usage>,
    /// The first part that says anything; none in an answer that is empty.
    first: Option<StreamPart>,
    rest: PartStream,
}

/// Waits for an answer's first token. How long that may take is the provider's to watch.
pub(super) async fn begin(started: Result<PartStream, LlmError>) -> Result<Begun, LlmError> {
    let (mut rest, mut usage) = (started?, None);
    let first = loop {
        match rest.next().await.transpose()? {
            Some(StreamPart::Usage(counted)) => usage = Some(counted),
            Some(StreamPart::UsageUnknown) => usage = None,
            // A provider that withholds everything says so, and a limit may have cut the rest.
            Some(StreamPart::Finish(FinishReason::Stop)) => return Err(LlmError::Empty),
            first => break first,
        }
    };
    Ok(Begun { usage, first, rest })
}

impl Begun {
    /// The answer from its beginning, which holds its place and tells the breaker how it
    /// ends.
    pub(super) fn guarded_by(self, permit: Pass, place: Place) -> PartStream {
        let guard = Some((permit, place));
        Guarded { begun: self, guard }.boxed()
    }
}

struct Guarded {
    begun: Begun,
    guard: Option<(Pass, Place)>,
}

impl Guarded {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamPart, LlmError>>> {
        let Begun { usage, first, rest } = &mut self.begun;
        if let Some(usage) = usage.take() {
            return Poll::Ready(Some(Ok(StreamPart::Usage(usage))));
        }
        match first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => rest.poll_next_unpin(cx),
        }
    }
}

impl Stream for Guarded {
    type Item = Result<StreamPart, LlmError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let part = ready!(this.next(cx));
        match &part {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                if let Some((permit, _)) = this.guard.take() {
                    settle(permit, error);
                }
            }
            None => {
                if let Some((permit, _)) = this.guard.take() {
                    permit.succeeded();
                }
            }
        }
        Poll::Ready(part)
    }
}
