#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, advance};

use super::*;
use crate::StreamPart;
use talkgraph_domain::{FinishReason, Usage};

const S: Duration = Duration::from_secs(1);

/// The reaction of a scripted provider to a call.
enum Does {
    Refuses(LlmError),
    Streams(Vec<Result<StreamPart, LlmError>>),
}

/// A provider that follows a script, call by call, and records the times of the calls. The last
/// entry is repeated.
struct Scripted {
    script: Mutex<VecDeque<Does>>,
    calls: Mutex<Vec<Instant>>,
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Does>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(script.into_iter().collect()),
            calls: Mutex::default(),
        })
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// The seconds between calls.
    fn waits(&self) -> Vec<f32> {
        let calls = self.calls.lock().unwrap();
        let waits = calls.windows(2).map(|pair| pair[1] - pair[0]);
        waits.map(|wait| wait.as_secs_f32()).collect()
    }
}

#[async_trait]
impl ChatModel for Scripted {
    async fn stream(&self, _: ChatRequest) -> Result<PartStream, LlmError> {
        self.calls.lock().unwrap().push(Instant::now());
        match self.script.lock().unwrap().pop_front() {
            Some(Does::Refuses(error)) => Err(error),
            Some(Does::Streams(parts)) => Ok(stream::iter(parts).boxed()),
            None => Ok(stream::iter(answer("a")).boxed()),
        }
    }
}

fn text(text: &str) -> Result<StreamPart, LlmError> {
    Ok(StreamPart::Text(text.to_owned()))
}

fn answer(said: &str) -> Vec<Result<StreamPart, LlmError>> {
    vec![text(said), Ok(StreamPart::Finish(FinishReason::Stop))]
}

fn limited(seconds: u32) -> Does {
    let retry_after = Some(S * seconds);
    Does::Refuses(LlmError::RateLimited { retry_after })
}

fn unavailable() -> Does {
    Does::Refuses(LlmError::Unavailable)
}

fn how() -> Resilience {
    Resilience {
        attempts: 3,
        backoff: S,
        backoff_cap: S * 2,
        retry_after_cap: S * 30,
        loading_timeout: S * 60,
        retry_percent: 20,
        retry_floor: 10,
        breaker_failures: 5,
        breaker_pause: S * 10,
        ..Resilience::none()
    }
}

fn resilient(keys: &[&Arc<Scripted>], how: &Resilience) -> Resilient {
    let keys = keys
        .iter()
        .map(|key| Arc::clone(*key) as Arc<dyn ChatModel>);
    Resilient::new(keys.collect(), how)
}

/// The whole outcome of a call.
async fn call(
    resilient: &Resilient,
    patience: Patience,
) -> Result<Vec<Result<StreamPart, LlmError>>, LlmError> {
    let request = ChatRequest::new("m", Vec::new());
    let parts = resilient.call(&request, patience).await?;
    Ok(parts.collect().await)
}

async fn patient(resilient: &Resilient) -> Result<Vec<Result<StreamPart, LlmError>>, LlmError> {
    call(resilient, Patience::Waits).await
}

#[tokio::test(start_paused = true)]
async fn failed_call_is_retried_with_backoff_up_to_three_attempts() {
    let provider = Scripted::new([unavailable(), unavailable()]);
    let all = resilient(&[&provider], &how());
    assert_eq!(patient(&all).await, Ok(answer("a")));
    let waits = provider.waits();
    assert!(waits[0] <= 1.0 && waits[1] <= 2.0, "{waits:?}");

    let provider = Scripted::new([unavailable(), unavailable(), unavailable()]);
    let all = resilient(&[&provider], &how());
    assert_eq!(patient(&all).await, Err(LlmError::Unavailable));
    assert_eq!(provider.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn empty_answer_is_retried() {
    let usage = || Ok(StreamPart::Usage(Usage::default()));
    let empty = || {
        let stop = Ok(StreamPart::Finish(FinishReason::Stop));
        Does::Streams(vec![usage(), stop])
    };
    let said = vec![text("a"), Ok(StreamPart::Finish(FinishReason::Stop))];
    let provider = Scripted::new([empty(), Does::Streams(said.clone())]);
    let all = resilient(&[&provider], &how());
    assert_eq!(patient(&all).await, Ok(said));
    assert_eq!(provider.calls(), 2);

    let provider = Scripted::new([empty(), empty(), empty()]);
    let all = resilient(&[&provider], &how());
    assert_eq!(patient(&all).await, Err(LlmError::Empty));
    assert_eq!(provider.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn useless_change_is_not_retried() {
    for error in [
        LlmError::Auth,
        LlmError::rejected(400),
        LlmError::FirstTokenTimeout(S),
        LlmError::ContextExceeded { limit: None },
        LlmError::Internal,
    ] {
        let provider = Scripted::new([Does::Refuses(error.clone())]);
        let all = resilient(&[&provider], &how());
        assert_eq!(patient(&all).await, Err(error));
        assert_eq!(provider.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_before_the_first_token_are_retried_and_later_ones_returned() {
    let usage = || Ok(StreamPart::Usage(Usage::default()));
    let before = Does::Streams(vec![usage(), Err(LlmError::Protocol)]);
    let after = vec![usage(), text("a"), Err(LlmError::Unavailable)];
    let provider = Scripted::new([before, Does::Streams(after.clone())]);
    let all = resilient(&[&provider], &how());
    assert_eq!(patient(&all).await, Ok(after));
    assert_eq!(provider.calls(), 2);

    for first in [
        StreamPart::Reasoning("hm".to_owned()),
        // Another attempt would not return more.
        StreamPart::Finish(FinishReason::Length),
        StreamPart::Finish(FinishReason::ContentFilter),
    ] {
        let parts = vec![Ok(first), Err(LlmError::Protocol)];
        let provider = Scripted::new([Does::Streams(parts.clone())]);
        assert_eq!(patient(&resilient(&[&provider], &how())).await, Ok(parts));
        assert_eq!(provider.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_up_to_its_cap() {
    for (asked, obeyed) in [(7, 7.0), (3_600, 30.0)] {
        let overloaded = Does::Refuses(LlmError::Overloaded {
            retry_after: Some(S * asked),
        });
        for refusal in [limited(asked), overloaded] {
            let provider = Scripted::new([refusal]);
            let all = resilient(&[&provider], &how());
            assert_eq!(patient(&all).await, Ok(answer("a")));
            let wait = provider.waits()[0];
            assert!((obeyed..=obeyed + 1.0).contains(&wait), "{wait}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn call_with_another_model_does_not_wait() {
    let provider = Scripted::new([limited(7)]);
    let all = resilient(&[&provider], &how());
    let start = Instant::now();
    let gave_up = call(&all, Patience::GivesUp).await;
    assert_eq!(
        gave_up,
        Err(LlmError::RateLimited {
            retry_after: Some(S * 7)
        })
    );
    // The next call does not even reach the provider.
    let gave_up = call(&all, Patience::GivesUp).await;
    assert!(matches!(gave_up, Err(LlmError::RateLimited { .. })));
    assert_eq!((provider.calls(), start.elapsed()), (1, Duration::ZERO));
    // A call without an alternative waits for the remaining pause.
    advance(S * 3).await;
    assert_eq!(patient(&all).await, Ok(answer("a")));
    let wait = provider.waits()[0];
    assert!((7.0..=8.0).contains(&wait), "{wait}");
}

#[tokio::test(start_paused = true)]
async fn rate_limited_key_is_paused_and_next_key_used_at_once() {
    let (first, second) = (Scripted::new([limited(20)]), Scripted::new([]));
    let all = resilient(&[&first, &second], &how());
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(patient(&all).await, Ok(answer("a")));
    }
    assert_eq!((first.calls(), second.calls()), (1, 3));
    assert_eq!(start.elapsed(), Duration::ZERO);

    // When both are limited, the call waits for the first that is available again.
    second.script.lock().unwrap().push_back(limited(5));
    assert_eq!(patient(&all).await, Ok(answer("a")));
    assert_eq!((first.calls(), second.calls()), (1, 5));
    assert!((5.0..=6.0).contains(&start.elapsed().as_secs_f32()));
}

#[tokio::test(start_paused = true)]
async fn without_a_time_each_key_is_used_once_and_then_backed_off() {
    let limit = || Does::Refuses(LlmError::RateLimited { retry_after: None });
    let (first, second) = (
        Scripted::new([limit(), limit(), limit()]),
        Scripted::new([limit(), limit(), limit()]),
    );
    let all = resilient(&[&first, &second], &how());
    let limited = Err(LlmError::RateLimited { retry_after: None });
    assert_eq!(patient(&all).await, limited);
    assert_eq!(
        first.calls() + second.calls(),
        4,
        "three attempts, one other key"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_storm_stays_within_the_budget() {
    let provider = Scripted::new((0..2_000).map(|_| unavailable()));
    let how = Resilience {
        breaker_failures: 0,
        ..how()
    };
    let all = resilient(&[&provider], &how);
    let start = Instant::now();
    let calls = (0..1_000).map(|_| patient(&all));
    let failed = futures_util::future::join_all(calls).await;
    assert!(
        failed
            .iter()
            .all(|call| *call == Err(LlmError::Unavailable))
    );
    // One retry of the floor is restored each second.
    let most = 1_210 + start.elapsed().as_secs() as usize;
    let calls = provider.calls();
    assert!((1_200..=most).contains(&calls), "{calls}");
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_the_breaker_and_a_probe_closes_it() {
    let provider = Scripted::new((0..5).map(|_| unavailable()));
    let all = resilient(&[&provider], &how());
    assert_eq!(patient(&all).await, Err(LlmError::Unavailable));
    // The fifth failure opens it, and there is no third attempt.
    assert_eq!(patient(&all).await, Err(LlmError::CircuitOpen));
    assert_eq!(provider.calls(), 5);
    assert_eq!(patient(&all).await, Err(LlmError::CircuitOpen));
    assert_eq!(provider.calls(), 5);
    advance(S * 10).await;
    assert_eq!(patient(&all).await, Ok(answer("a")));
    assert_eq!(patient(&all).await, Ok(answer("a")));
    assert_eq!(provider.calls(), 7);
}

#[tokio::test(start_paused = true)]
async fn answers_that_break_off_open_the_breaker_too() {
    let cut = || Does::Streams(vec![text("a"), Err(LlmError::Protocol)]);
    let provider = Scripted::new((0..5).map(|_| cut()));
    let all = resilient(&[&provider], &how());
    for _ in 0..5 {
        assert!(patient(&all).await.is_ok());
    }
    assert_eq!(patient(&all).await, Err(LlmError::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn slot_is_released_when_an_answer_ends_or_is_dropped() {
    let provider = Scripted::new([]);
    let how = Resilience {
        concurrency: 1,
        ..how()
    };
    let all = resilient(&[&provider], &how);
    let request = ChatRequest::new("m", Vec::new());
    let held = all.call(&request, Patience::Waits).await.unwrap();
    assert_eq!(patient(&all).await, Err(LlmError::Busy));
    drop(held);
    assert_eq!(patient(&all).await, Ok(answer("a")));
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn models_are_remembered_up_to_a_bound() {
    let all = resilient(&[&Scripted::new([])], &how());
    for number in 0..3 * REMEMBERED_MODELS {
        let model = all.model(&number.to_string());
        if number == 0 {
            (0..5).for_each(|_| model.breakers.pass("").unwrap().failed());
        }
    }
    assert!(all.models.lock().unwrap().len() <= REMEMBERED_MODELS);
    assert!(
        all.model("0").breakers.check("").is_err(),
        "it was not forgotten"
    );
}
