#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::time::{Instant, sleep};

use super::{DRAIN_TIMEOUT, Reader, ResponseStream};
use crate::call_timeouts::{CallTimeouts, Limits};
use crate::openai::ChatCompletions;
use crate::parts::Parts;
use crate::protocol::Protocol;
use crate::provider_error::Redaction;
use crate::signed_reasoning::Bindings;
use crate::{LlmError, StreamPart};
use talkgraph_domain::FinishReason;

const FIRST_TOKEN: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(62);

const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const ROLE: &str =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

type Body = BoxStream<'static, Result<Bytes, Infallible>>;

fn answer(body: impl Stream<Item = &'static str> + Send + 'static) -> ResponseStream<Body> {
    let timeouts = CallTimeouts::start(Limits {
        first_token: FIRST_TOKEN,
        idle: IDLE,
        total: TOTAL,
    });
    let body = body
        .map(|text| Ok(Bytes::from_static(text.as_bytes())))
        .boxed();
    let parts = Parts::new("test".into(), Redaction::default(), Bindings::default());
    let decoder = ChatCompletions.decoder();
    ResponseStream::new(body, Reader::new(1024, decoder), parts, timeouts)
}

/// Chunks with delays, in seconds since the one before; then silence.
fn timed(chunks: Vec<(u64, &'static str)>) -> impl Stream<Item = &'static str> + Send + 'static {
    stream::iter(chunks)
        .then(|(wait, text)| async move {
            sleep(Duration::from_secs(wait)).await;
            text
        })
        .chain(stream::pending())
}

/// The outcome: the length of the texts, the finish reason or the error, and the time.
async fn outcome(
    mut answer: ResponseStream<Body>,
) -> (usize, Result<FinishReason, LlmError>, Duration) {
    let started = Instant::now();
    let (mut texts, mut ended) = (0, Err(LlmError::Internal));
    while let Some(part) = answer.next().await {
        match part {
            Ok(StreamPart::Text(text)) => texts += text.len(),
            Ok(StreamPart::Finish(reason)) => ended = Ok(reason),
            Ok(_) => {}
            Err(error) => ended = Err(error),
        }
    }
    (texts, ended, started.elapsed())
}

fn about(elapsed: Duration, expected: Duration) -> bool {
    elapsed >= expected && elapsed < expected + Duration::from_millis(10)
}

#[tokio::test(start_paused = true)]
async fn a_silent_start_ends_at_the_first_token_limit() {
    let (_, ended, elapsed) = outcome(answer(stream::pending())).await;
    assert_eq!(ended, Err(LlmError::FirstTokenTimeout(FIRST_TOKEN)));
    assert!(about(elapsed, FIRST_TOKEN), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn comments_and_roles_put_off_the_first_token_limit() {
    let chunks = vec![(3, ": working\n\n"), (3, ROLE), (9, ": working\n\n")];
    let (texts, ended, elapsed) = outcome(answer(timed(chunks))).await;
    assert_eq!(
        (texts, ended),
        (0, Err(LlmError::FirstTokenTimeout(FIRST_TOKEN)))
    );
    let last = Duration::from_secs(15);
    assert!(about(elapsed, last + FIRST_TOKEN), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_at_the_idle_limit_after_the_last_sign_of_life() {
    let chunks = vec![(1, TOKEN), (4, TOKEN), (4, TOKEN), (4, ": alive\n\n")];
    let (texts, ended, elapsed) = outcome(answer(timed(chunks))).await;
    assert_eq!((texts, ended), (3, Err(LlmError::IdleTimeout(IDLE))));
    let last = Duration::from_secs(13);
    assert!(about(elapsed, last + IDLE), "{elapsed:?}");

    // Bytes that do not form an event, and blank lines, are not signs of life.
    let chunks = vec![(1, TOKEN), (3, "data: {\"choices\":"), (1, "\n"), (1, "[")];
    let (texts, ended, elapsed) = outcome(answer(timed(chunks))).await;
    assert_eq!((texts, ended), (1, Err(LlmError::IdleTimeout(IDLE))));
    let last = Duration::from_secs(1);
    assert!(about(elapsed, last + IDLE), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_ends_at_the_total_limit() {
    let pings = vec![(4, ": still thinking\n\n"); 100];
    let (texts, ended, elapsed) = outcome(answer(timed(pings))).await;
    assert_eq!((texts, ended), (0, Err(LlmError::TotalTimeout(TOTAL))));
    assert!(about(elapsed, TOTAL), "{elapsed:?}");
    let (texts, ended, elapsed) = outcome(answer(timed(vec![(4, TOKEN); 100]))).await;
    assert_eq!((texts, ended), (15, Err(LlmError::TotalTimeout(TOTAL))));
    assert!(about(elapsed, TOTAL), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_pause_ends_at_the_total_limit() {
    let flood = stream::repeat(": x\n\n")
        .take(1000)
        .enumerate()
        .then(|(n, text)| async move {
            if n == 100 {
                tokio::time::advance(TOTAL).await;
            }
            text
        });
    let (_, ended, _) = outcome(answer(flood)).await;
    assert_eq!(ended, Err(LlmError::TotalTimeout(TOTAL)));
}

#[tokio::test(start_paused = true)]
async fn always_ready_body_yields_to_other_tasks() {
    let mut flooded = answer(stream::repeat(": x\n\n").take(10_000));
    assert_eq!(flooded.next().now_or_never(), None);
}

#[tokio::test(start_paused = true)]
async fn a_finished_answer_survives_what_comes_after() {
    let stalled = stream::iter([TOKEN, FINISH]).chain(stream::pending());
    let (texts, ended, elapsed) = outcome(answer(stalled)).await;
    assert_eq!((texts, ended), (1, Ok(FinishReason::Stop)));
    assert!(about(elapsed, IDLE), "{elapsed:?}");

    let garbage = stream::iter([TOKEN, FINISH, "data: nonsense\n\n"]);
    assert_eq!(outcome(answer(garbage)).await.1, Ok(FinishReason::Stop));
    let after_done = stream::iter([TOKEN, FINISH, DONE, "data: nonsense\n\n", TOKEN]);
    let (texts, ended, _) = outcome(answer(after_done)).await;
    assert_eq!((texts, ended), (1, Ok(FinishReason::Stop)));
}

#[tokio::test(start_paused = true)]
async fn endless_body_after_done_is_not_awaited() {
    let open = stream::iter([TOKEN, FINISH, DONE]).chain(stream::pending());
    let (_, ended, elapsed) = outcome(answer(open)).await;
    assert_eq!(ended, Ok(FinishReason::Stop));
    assert!(about(elapsed, DRAIN_TIMEOUT), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn all_parts_of_a_chunk_are_ready_at_once() {
    let three = concat!(
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"c\"}}]}\n\n",
    );
    let mut answer = answer(stream::iter([three]).chain(stream::pending()));
    let taken = std::iter::from_fn(|| answer.next().now_or_never());
    let texts: Vec<_> = taken.map(|part| part.unwrap().unwrap()).collect();
    assert_eq!(
        texts,
        ["a", "b", "c"].map(|text| StreamPart::Text(text.to_owned()))
    );
}
