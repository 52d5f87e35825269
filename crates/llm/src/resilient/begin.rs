//! An answer up to its first token, and its continuation.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};

use super::breakers::Pass;
use super::settle;
use crate::{LlmError, PartStream, StreamPart};
use talkgraph_domain::{FinishReason, Usage};
use talkgraph_resilience::Place;

/// An answer with its first token.
pub(super) struct Begun {
    /// The usage before it: some providers begin with the usage. The last one counts.
    usage: Option<Usage>,
    /// The first part with content; none in an empty answer.
    first: Option<StreamPart>,
    rest: PartStream,
}

/// Waits for an answer's first token. The provider enforces its time limit.
pub(super) async fn begin(started: Result<PartStream, LlmError>) -> Result<Begun, LlmError> {
    let (mut rest, mut usage) = (started?, None);
    let first = loop {
        match rest.next().await.transpose()? {
            Some(StreamPart::Usage(counted)) => usage = Some(counted),
            Some(StreamPart::UsageUnknown) => usage = None,
            // A provider that withholds the answer gives another reason, and a limit may have cut
            // the rest.
            Some(StreamPart::Finish(FinishReason::Stop)) => return Err(LlmError::Empty),
            first => break first,
        }
    };
    Ok(Begun { usage, first, rest })
}

impl Begun {
    /// The whole answer, which holds its slot and reports its outcome to the breaker.
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
