//! Calls through everything that is there for providers that fail.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;
use talkgraph_llm::{Answering, ChatModel, LlmError, Models, Resilience};

use crate::caller::{Answer, LONG, ask, collect, provider, rejected, settings};
use crate::upstream::{Script, Upstream, chunk};

/// So short that a test does not notice.
const MOMENT: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Three attempts with hardly a wait, no breaker, no limit.
fn how() -> Resilience {
    Resilience {
        loading_timeout: LONG,
        attempts: 3,
        backoff: MOMENT,
        backoff_cap: MOMENT,
        retry_after_cap: HOUR,
        retry_percent: 20,
        retry_floor: 10,
        breaker_failures: 0,
        breaker_pause: HOUR,
        concurrency: 1_000,
        queue: 0,
        queue_timeout: LONG,
    }
}

/// The upstream as provider `up`, with so many keys: `key-0` and on.
fn models(upstream: &Upstream, keys: usize, how: &Resilience) -> Models {
    let with_key = |key| {
        let mut settings = settings(upstream.base_url());
        settings.api_key = Some(format!("key-{key}").into());
        Arc::new(provider(settings)) as Arc<dyn ChatModel>
    };
    let mut models = Models::default();
    models.insert_resilient("up", (0..keys).map(with_key).collect(), how);
    models
}

async fn call_first(models: &Models, names: &[&str]) -> (String, Answer) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    match models.stream(&names, ask("How are you?")).await {
        Ok(Answering { model, parts }) => (model, collect(parts).await),
        Err(error) => (String::new(), Answer::failed("", error)),
    }
}

async fn call(models: &Models) -> Answer {
    call_first(models, &["up/small"]).await.1
}

/// The first call that an open breaker lets pass.
async fn passed(models: &Models) -> Answer {
    loop {
        let answer = call(models).await;
        if answer.error != Some(LlmError::CircuitOpen) {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

/// Which keys were used, in order.
fn keys_of(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received();
    let keys = received.iter().map(|one| one.header("authorization"));
    keys.map(|key| key.unwrap().replace("Bearer key-", ""))
        .collect()
}

/// The fields of `models` that the upstream was asked for, in order.
fn models_of(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received();
    let names = received.iter().map(|one| one.body["model"].as_str());
    names.map(|name| name.unwrap().to_owned()).collect()
}

fn good() -> Script {
    Script::tokens(["Fine", "."])
}

#[tokio::test]
async fn some_statuses_are_retried_and_others_are_not() {
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        let upstream = Upstream::start().await;
        upstream
            .then(Script::status(status))
            .then(Script::status(status));
        upstream.then(good());
        let answer = call(&models(&upstream, 1, &how())).await;
        assert_eq!(answer, Answer::complete("Fine."), "{status}");
        assert_eq!(upstream.received().len(), 3, "{status}");
    }
    for status in [301, 400, 401, 402, 403, 404, 413, 422] {
        let upstream = Upstream::start().await;
        upstream.then(Script::status(status)).then(good());
        let answer = call(&models(&upstream, 1, &how())).await;
        assert!(answer.error.is_some(), "{status}");
        assert_eq!(upstream.received().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn broken_beginnings_are_retried() {
    let error = json!({ "error": { "code": 503, "message": "overloaded" } });
    let role = chunk(&json!({ "role": "assistant", "content": "" }));
    for broken in [
        Script::hang_up(),
        Script::json(200, &error),
        Script::stream().event(&error),
        Script::stream().event(role).cut(),
        Script::stream().bytes("<html>Bad gateway</html>\n\n"),
    ] {
        let upstream = Upstream::start().await;
        upstream.then(broken).then(good());
        let answer = call(&models(&upstream, 1, &how())).await;
        assert_eq!(answer, Answer::complete("Fine."));
        assert_eq!(upstream.received().len(), 2);
    }
}

#[tokio::test]
async fn connections_are_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let mut models = Models::default();
    let keys = vec![Arc::new(provider(settings(base_url))) as Arc<dyn ChatModel>];
    models.insert_resilient("up", keys, &how());
    let refusing = tokio::spawn(async move {
        for _ in 0..3 {
            drop(listener.accept().await.unwrap());
        }
    });
    let answer = call(&models).await;
    assert_eq!(answer, Answer::failed("", LlmError::Unavailable));
    refusing.await.unwrap();
    // Nobody listens there any more.
    let answer = call(&models).await;
    assert_eq!(answer, Answer::failed("", LlmError::Unreachable));
}

#[tokio::test]
async fn nothing_is_retried_or_asked_elsewhere_after_the_first_token() {
    let error = json!({ "error": { "code": 503, "message": "overloaded" } });
    let begun = || Script::stream().text(["a", "b"]);
    for (script, expected) in [
        (begun().cut(), LlmError::Protocol),
        (begun(), LlmError::Protocol),
        (begun().event(&error), LlmError::Unavailable),
        (begun().event("{\"choices\":"), LlmError::Protocol),
    ] {
        let upstream = Upstream::start().await;
        upstream.then(script).then(good());
        let models = models(&upstream, 2, &how());
        let (model, answer) = call_first(&models, &["up/small", "up/large"]).await;
        let expected = match expected {
            LlmError::Unavailable => LlmError::Overloaded { retry_after: None },
            other => other,
        };
        assert_eq!(
            (model.as_str(), answer),
            ("up/small", Answer::failed("ab", expected))
        );
        assert_eq!(upstream.received().len(), 1);
    }
}

#[tokio::test]
async fn a_limited_key_rests_for_its_retry_after_and_the_next_is_used_at_once() {
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + HOUR);
    let an_hour_ago = httpdate::fmt_http_date(SystemTime::now() - HOUR);
    for (retry_after, keys) in [
        ("3600", ["0", "1", "1", "1"]),
        (&in_an_hour, ["0", "1", "1", "1"]),
        // No rest: the first is there again when the second meets a limit.
        ("0", ["0", "1", "1", "0"]),
        (&an_hour_ago, ["0", "1", "1", "0"]),
        ("soon", ["0", "1", "1", "0"]),
    ] {
        let upstream = Upstream::start().await;
        let limited = Script::status(429).header("retry-after", retry_after);
        upstream.then(limited).then(good());
        upstream.then(Script::status(429)).then(good());
        let models = models(&upstream, 2, &how());
        for _ in 0..2 {
            assert_eq!(call(&models).await, Answer::complete("Fine."));
        }
        assert_eq!(keys_of(&upstream), keys, "{retry_after}");
    }
}

#[tokio::test]
async fn retry_after_has_a_cap() {
    for status in [429, 503] {
        let upstream = Upstream::start().await;
        let later = Script::status(status).header("retry-after", "3600");
        upstream.then(later).then(good());
        let how = Resilience {
            retry_after_cap: MOMENT,
            ..how()
        };
        // Without the cap this would wait for an hour.
        let models = models(&upstream, 1, &how);
        assert_eq!(call(&models).await, Answer::complete("Fine."));
        assert_eq!(upstream.received().len(), 2);
    }
}

#[tokio::test]
async fn a_resting_model_is_not_asked_but_the_next_is() {
    let upstream = Upstream::start().await;
    upstream.then(Script::status(429).header("retry-after", "3600"));
    let models = models(&upstream, 1, &how());
    for _ in 0..2 {
        upstream.then(good());
        let (model, answer) = call_first(&models, &["up/small", "up/large"]).await;
        assert_eq!(
            (model.as_str(), answer),
            ("up/large", Answer::complete("Fine."))
        );
    }
    assert_eq!(models_of(&upstream), ["small", "large", "large"]);
}

#[tokio::test]
async fn a_storm_of_failures_is_not_multiplied() {
    const CALLS: usize = 200;
    let upstream = Upstream::start().await;
    for _ in 0..3 * CALLS {
        upstream.then(Script::status(503));
    }
    let models = models(&upstream, 1, &how());
    let start = Instant::now();
    let answers = join_all((0..CALLS).map(|_| call(&models))).await;
    let overloaded = Answer::failed("", LlmError::Overloaded { retry_after: None });
    assert!(answers.iter().all(|answer| *answer == overloaded));
    let attempts = upstream.received().len();
    // One retry of the floor comes back each second.
    let seconds = start.elapsed().as_secs() as usize;
    let most = CALLS * 12 / 10 + 10 + seconds;
    assert!((CALLS + 10..=most).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn five_failures_open_the_breaker_of_that_model_alone() {
    let upstream = Upstream::start().await;
    for _ in 0..5 {
        upstream.then(Script::status(500));
    }
    let how = Resilience {
        breaker_failures: 5,
        ..how()
    };
    let models = models(&upstream, 1, &how);
    assert_eq!(
        call(&models).await,
        Answer::failed("", LlmError::Unavailable)
    );
    for _ in 0..3 {
        assert_eq!(
            call(&models).await,
            Answer::failed("", LlmError::CircuitOpen)
        );
    }
    assert_eq!(upstream.received().len(), 5);
    upstream.then(good());
    let (model, answer) = call_first(&models, &["up/small", "up/large"]).await;
    assert_eq!(
        (model.as_str(), answer),
        ("up/large", Answer::complete("Fine."))
    );
}

#[tokio::test]
async fn one_probe_at_a_time_closes_the_breaker_again() {
    let upstream = Upstream::start().await;
    let how = Resilience {
        attempts: 1,
        breaker_failures: 1,
        breaker_pause: MOMENT,
        ..how()
    };
    let models = models(&upstream, 1, &how);
    upstream.then(Script::status(500));
    assert_eq!(
        call(&models).await,
        Answer::failed("", LlmError::Unavailable)
    );

    upstream.then(Script::silence());
    let probe = tokio::spawn({
        let models = models.clone();
        async move { passed(&models).await }
    });
    upstream.wait_holding(1).await;
    for _ in 0..3 {
        assert_eq!(
            call(&models).await,
            Answer::failed("", LlmError::CircuitOpen)
        );
    }
    upstream.then(good()).then(good());
    upstream.release();
    // An answer without a token is not the way to show that one is well.
    let ended = Answer::failed("", LlmError::Protocol);
    assert_eq!(probe.await.unwrap(), ended);
    assert_eq!(passed(&models).await, Answer::complete("Fine."));
    assert_eq!(call(&models).await, Answer::complete("Fine."));
    assert_eq!(upstream.received().len(), 4);
}

#[tokio::test]
async fn no_more_calls_than_there_are_places_and_no_longer_queue_than_there_may_be() {
    let upstream = Upstream::start().await;
    let how = Resilience {
        concurrency: 2,
        queue: 1,
        ..how()
    };
    let models = models(&upstream, 1, &how);
    let start = || {
        upstream.then(Script::stream().text(["Fine"]).hold().text(["."]).ended());
        let models = models.clone();
        tokio::spawn(async move { call(&models).await })
    };
    let running = [start(), start()];
    upstream.wait_holding(2).await;
    let mut queued = Box::pin(call(&models));
    assert!(futures_util::poll!(&mut queued).is_pending());
    assert_eq!(call(&models).await, Answer::failed("", LlmError::Busy));
    let (model, _) = call_first(&models, &["up/small", "gone/large"]).await;
    assert_eq!((model.as_str(), upstream.received().len()), ("", 2));
    upstream.then(good());
    upstream.release();
    for call in running {
        assert_eq!(call.await.unwrap(), Answer::complete("Fine."));
    }
    assert_eq!(queued.await, Answer::complete("Fine."));
    assert_eq!(upstream.received().len(), 3);
}

#[tokio::test]
async fn the_queue_is_left_after_a_while() {
    let upstream = Upstream::start().await;
    let how = Resilience {
        concurrency: 1,
        queue: 1,
        queue_timeout: MOMENT,
        ..how()
    };
    let models = models(&upstream, 1, &how);
    upstream.then(Script::stream().text(["a"]).hold());
    let held = models.stream(&["up/small".to_owned()], ask("Hello")).await;
    let mut held = held.unwrap().parts;
    assert_eq!(call(&models).await, Answer::failed("", LlmError::Busy));
    // The place is free as soon as the answer is given up.
    assert!(held.next().await.is_some());
    drop(held);
    upstream.then(good());
    assert_eq!(call(&models).await, Answer::complete("Fine."));
}

#[tokio::test]
async fn models_are_asked_in_their_order_until_one_answers() {
    let names = ["up/one", "gone/two", "up/three", "up/four"];
    let upstream = Upstream::start().await;
    upstream.then(Script::status(401)).then(Script::status(404));
    upstream.then(good());
    let models = models(&upstream, 1, &how());
    let (model, answer) = call_first(&models, &names).await;
    assert_eq!(
        (model.as_str(), answer),
        ("up/four", Answer::complete("Fine."))
    );
    assert_eq!(models_of(&upstream), ["one", "three", "four"]);

    // What is wrong with the request is wrong with it everywhere.
    upstream.then(Script::status(400));
    let (_, answer) = call_first(&models, &names).await;
    assert_eq!(answer, Answer::failed("", rejected(400)));
    // When none answers it is the last one's error.
    for status in [401, 403, 402] {
        upstream.then(Script::status(status));
    }
    let (_, answer) = call_first(&models, &names).await;
    assert_eq!(answer, Answer::failed("", LlmError::QuotaExhausted));
}

#[tokio::test]
async fn an_empty_account_is_not_asked_again_but_another_key_or_model_is() {
    let empty = || {
        let error = json!({ "error": {
            "message": "You exceeded your current quota, please check your plan and billing details.",
            "type": "insufficient_quota", "param": null, "code": "insufficient_quota",
        } });
        Script::json(429, &error).header("retry-after", "3600")
    };
    let upstream = Upstream::start().await;
    upstream.then(empty());
    let answer = call(&models(&upstream, 1, &how())).await;
    assert_eq!(answer, Answer::failed("", LlmError::QuotaExhausted));
    assert!(!LlmError::QuotaExhausted.is_retryable());
    assert_eq!(upstream.received().len(), 1);

    let upstream = Upstream::start().await;
    upstream.then(empty()).then(good()).then(good());
    let two = models(&upstream, 2, &how());
    assert_eq!(call(&two).await, Answer::complete("Fine."));
    assert_eq!(call(&two).await, Answer::complete("Fine."));
    assert_eq!(keys_of(&upstream), ["0", "1", "1"]);

    let upstream = Upstream::start().await;
    upstream.then(empty()).then(good());
    let one = models(&upstream, 1, &how());
    let (model, _) = call_first(&one, &["up/a", "up/b"]).await;
    assert_eq!(model, "up/b");
}

#[tokio::test]
async fn a_model_that_is_being_loaded_is_waited_for_within_its_budget() {
    let loading = || {
        let error = json!({ "error": {
            "code": 503, "message": "Loading model", "type": "unavailable_error",
        } });
        Script::json(503, &error)
    };
    let upstream = Upstream::start().await;
    upstream.then(loading()).then(loading()).then(good());
    let once = Resilience {
        attempts: 1,
        breaker_failures: 1,
        ..how()
    };
    // It uses up no attempts, and is no failure of the model.
    assert_eq!(
        call(&models(&upstream, 1, &once)).await,
        Answer::complete("Fine.")
    );
    assert_eq!(upstream.received().len(), 3);

    let upstream = Upstream::start().await;
    upstream.then(loading());
    let never = Resilience {
        loading_timeout: Duration::ZERO,
        ..how()
    };
    let expected = LlmError::Loading { retry_after: None };
    assert_eq!(
        call(&models(&upstream, 1, &never)).await,
        Answer::failed("", expected)
    );
    assert_eq!(upstream.received().len(), 1);

    // Another model can answer meanwhile.
    let upstream = Upstream::start().await;
    upstream.then(loading()).then(good());
    let (model, answer) = call_first(&models(&upstream, 1, &how()), &["up/a", "up/b"]).await;
    assert_eq!(
        (model.as_str(), answer),
        ("up/b", Answer::complete("Fine."))
    );
}

#[tokio::test]
async fn every_form_of_a_wait_that_is_asked_for_is_obeyed() {
    let google = json!({ "error": { "code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED",
        "details": [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.3s" }] } });
    for script in [
        Script::status(429).header("retry-after", "0.3"),
        Script::status(503).header("retry-after-ms", "300"),
        Script::status(429)
            .header("x-ratelimit-remaining-requests", "0")
            .header("x-ratelimit-reset-requests", "300ms"),
        Script::json(429, &google),
    ] {
        let upstream = Upstream::start().await;
        upstream.then(script).then(good());
        let started = Instant::now();
        assert_eq!(
            call(&models(&upstream, 1, &how())).await,
            Answer::complete("Fine.")
        );
        let waited = started.elapsed();
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        assert!(waited < LONG, "{waited:?}");
    }
}
