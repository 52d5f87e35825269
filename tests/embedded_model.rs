//! The embedded model as the server uses it: answers, turns, limits, cancelling, faults
//! of the weights file. The weights must be there: run `scripts/fetch-model`.
#![cfg(feature = "embedded-model")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use talkgraph_domain::{FinishReason, Usage};
use talkgraph_llm::embedded::{
    EmbeddedError, EmbeddedModel, EmbeddedSettings, prefer_single_threaded_products,
};
use talkgraph_llm::{ChatMessage, ChatRequest, ChatRole, OutputSchema, Sampling, StreamPart};
use tokio::sync::mpsc::Receiver;

type Parts = Receiver<Result<StreamPart, EmbeddedError>>;

const CONTEXT_TOKENS: usize = 512;

fn settings(model_path: PathBuf) -> EmbeddedSettings {
    EmbeddedSettings {
        model_path,
        threads: 1,
        queue_limit: 1,
        context_tokens: CONTEXT_TOKENS,
        cached_conversations: 2,
    }
}

/// The one model of these tests, for one test at a time: they count who waits.
fn model() -> (MutexGuard<'static, ()>, &'static EmbeddedModel) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static MODEL: OnceLock<EmbeddedModel> = OnceLock::new();
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let model = MODEL.get_or_init(|| {
        prefer_single_threaded_products();
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("models/smollm2-135m-instruct-q4_1.gguf");
        EmbeddedModel::load(&settings(path)).unwrap_or_else(|error| panic!("{error}"))
    });
    (turn, model)
}

fn request(turns: &[&str], max_output_tokens: u32) -> ChatRequest {
    let roles = [ChatRole::User, ChatRole::Assistant].into_iter().cycle();
    let message = |(content, role): (&&str, ChatRole)| ChatMessage::text(role, *content);
    let messages = turns.iter().zip(roles).map(message).collect();
    ChatRequest {
        sampling: Sampling {
            temperature: Some(0.0),
            ..Sampling::default()
        },
        max_output_tokens: Some(max_output_tokens),
        ..ChatRequest::new("smollm2-135m", messages)
    }
}

/// Reads an answer to its end, checking the order: text, usage, finish.
fn read(mut parts: Parts) -> (String, Usage, FinishReason) {
    let mut text = String::new();
    let mut usage = None;
    while let Some(part) = parts.blocking_recv() {
        match part.unwrap() {
            StreamPart::Text(delta) => {
                assert!(usage.is_none() && !delta.is_empty());
                text.push_str(&delta);
            }
            StreamPart::Usage(counted) => usage = Some(counted),
            StreamPart::Finish(reason) => {
                assert!(parts.blocking_recv().is_none());
                return (text, usage.unwrap(), reason);
            }
            other => panic!("this model does not reason and has no tools: {other:?}"),
        }
    }
    panic!("the answer had no end");
}

#[test]
fn a_greeting_is_answered() {
    let (_turn, model) = model();
    let (text, usage, reason) = read(model.generate(request(&["Hello!"], 60)).unwrap());
    assert!(text.contains("Hello"), "{text}");
    assert_eq!(reason, FinishReason::Stop);
    assert_eq!(usage.input_tokens, 32);
    assert!(usage.output_tokens > 2);
}

#[test]
fn an_answer_stops_at_its_limit() {
    let (_turn, model) = model();
    let asked = request(&["Explain what a database index is."], 5);
    let (text, usage, reason) = read(model.generate(asked).unwrap());
    assert!(!text.is_empty());
    assert_eq!((usage.output_tokens, reason), (5, FinishReason::Length));
}

#[test]
fn a_second_turn_reads_only_what_is_new() {
    let (_turn, model) = model();
    let first = read(model.generate(request(&["My name is Ada."], 24)).unwrap());
    let turns = ["My name is Ada.", first.0.as_str(), "What is my name?"];
    let reused = read(model.generate(request(&turns, 24)).unwrap());
    assert!(
        reused.1.cached_input_tokens > first.1.input_tokens,
        "{:?}",
        reused.1
    );
    assert!(reused.1.cached_input_tokens < reused.1.input_tokens);
    // Two other conversations push this one out, so that it is read from the start.
    for other in ["Other\nthings", "More\nthings"] {
        let mut asked = request(&[other], 1);
        Arc::make_mut(&mut asked.messages[0]).role = ChatRole::System;
        read(model.generate(asked).unwrap());
    }
    let fresh = read(model.generate(request(&turns, 24)).unwrap());
    assert!(
        fresh.1.cached_input_tokens < first.1.input_tokens,
        "{:?}",
        fresh.1
    );
    // Read at once or token by token, the roundings differ, and so may the words; that
    // the tokens are the same without rounding is a unit test.
    assert_eq!(reused.1.input_tokens, fresh.1.input_tokens);
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    let (_turn, model) = model();
    let answer = |seed| {
        let mut asked = request(&["Tell me a story."], 16);
        asked.sampling = Sampling {
            temperature: Some(1.5),
            top_p: Some(1.0),
            seed: Some(seed),
        };
        read(model.generate(asked).unwrap()).0
    };
    // The first run fills the cache; from then on both read the same tokens the same way.
    answer(0);
    assert_eq!(answer(7), answer(7));
    assert_ne!(answer(7), answer(8));
}

#[test]
fn dropping_the_receiver_frees_the_model_within_a_token() {
    let (_turn, model) = model();
    let long = || request(&["Explain what a database index is."], 120);
    let start = Instant::now();
    let (_, usage, _) = read(model.generate(long()).unwrap());
    let whole = start.elapsed();
    assert!(usage.output_tokens > 60, "too short to measure by");

    let mut parts = model.generate(long()).unwrap();
    parts.blocking_recv().unwrap().unwrap();
    let start = Instant::now();
    drop(parts);
    read(model.generate(request(&["Hello!"], 2)).unwrap());
    assert!(start.elapsed() < whole / 2 + Duration::from_millis(200));
}

#[test]
fn a_full_queue_says_busy_and_serves_those_who_wait() {
    let (_turn, model) = model();
    let mut running = model.generate(request(&["Explain rain."], 40)).unwrap();
    running.blocking_recv().unwrap().unwrap();
    let waiting = model.generate(request(&["Hello!"], 2)).unwrap();
    let refused = model.generate(request(&["Hello!"], 2));
    assert!(matches!(refused, Err(EmbeddedError::Busy { limit: 1 })));
    drop(running);
    read(waiting);
    read(model.generate(request(&["Hello!"], 2)).unwrap());
}

#[test]
fn a_prompt_beyond_the_context_is_refused() {
    let (_turn, model) = model();
    let long = "word ".repeat(CONTEXT_TOKENS);
    let mut parts = model.generate(request(&[&long], 5)).unwrap();
    let error = parts.blocking_recv().unwrap().unwrap_err();
    assert!(parts.blocking_recv().is_none());
    let EmbeddedError::ContextExceeded {
        prompt_tokens,
        limit,
    } = error
    else {
        panic!("{error}");
    };
    assert!(prompt_tokens > CONTEXT_TOKENS && limit == CONTEXT_TOKENS);

    let absurd = "word ".repeat(1_000_000);
    let refused = model.generate(request(&[&absurd], 5));
    assert!(matches!(
        refused,
        Err(EmbeddedError::ContextExceeded { .. })
    ));
}

#[test]
fn an_answer_ends_where_the_context_does() {
    let (_turn, model) = model();
    let prompt = format!("Count on for ever:{}", " 7".repeat(227));
    let (_, usage, reason) = read(model.generate(request(&[&prompt], 10_000)).unwrap());
    let used = usage.input_tokens + usage.output_tokens;
    assert!(usage.input_tokens > 400, "{usage:?}");
    assert!(used <= CONTEXT_TOKENS as u64);
    assert!(reason == FinishReason::Stop || used == CONTEXT_TOKENS as u64);
}

#[test]
fn a_faulty_weights_file_is_named_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let message = || match EmbeddedModel::load(&settings(path.clone())) {
        Ok(_) => panic!("loaded a faulty file"),
        Err(error) => error.to_string(),
    };
    let check = |said: String, fault: &str| {
        assert!(
            said.contains(fault) && said.contains("scripts/fetch-model"),
            "{said}"
        );
        assert!(
            said.contains("model.gguf") && !said.contains('\n'),
            "{said}"
        );
    };
    check(message(), "no model weights");
    fs::write(&path, "short").unwrap();
    check(message(), "5 bytes instead of 98362432");
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(98_362_432)
        .unwrap();
    check(message(), "wrong SHA-256");
}

#[test]
fn settings_out_of_range_are_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/smollm2-135m-instruct-q4_1.gguf");
    for context_tokens in [0, 9_000] {
        let wrong = EmbeddedSettings {
            context_tokens,
            ..settings(path.clone())
        };
        assert!(matches!(
            EmbeddedModel::load(&wrong),
            Err(EmbeddedError::Settings(_))
        ));
    }
}

fn formal(text: &str, schema: Value, max_output_tokens: u32) -> ChatRequest {
    ChatRequest {
        output_schema: Some(OutputSchema {
            name: "answer".to_owned(),
            schema,
        }),
        ..request(&[text], max_output_tokens)
    }
}

#[test]
fn an_answer_of_a_form_has_it_at_the_first_try() {
    let (_turn, model) = model();
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "required": ["reason", "capital", "population", "kind", "neighbours"],
        "properties": {
            "reason": { "type": "string", "maxLength": 80 },
            "capital": { "type": "string" },
            "population": { "type": "integer", "minimum": 1 },
            "kind": { "enum": ["town", "city"] },
            "neighbours": { "type": "array", "items": { "$ref": "#/$defs/place" }, "maxItems": 2 },
        },
        "$defs": { "place": { "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": { "name": { "type": "string", "maxLength": 20 } } } },
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    for question in [
        "What is the capital of France?",
        "Hello!",
        "Tell me a very long story.",
    ] {
        let asked = formal(question, schema.clone(), 300);
        let (text, usage, reason) = read(model.generate(asked).unwrap());
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        assert!(validator.is_valid(&value), "{text}");
        assert_eq!(reason, FinishReason::Stop);
        assert!(usage.output_tokens > 10);
        let order: Vec<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(
            order,
            ["reason", "capital", "population", "kind", "neighbours"]
        );
    }
}

#[test]
fn an_answer_of_a_form_ends_within_its_limit() {
    let (_turn, model) = model();
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["story"],
        "properties": { "story": { "type": "array", "items": { "type": "string" } } } });
    for limit in [16, 40, 10_000] {
        let asked = formal("Tell me a story without an end.", schema.clone(), limit);
        let (text, usage, reason) = read(model.generate(asked).unwrap());
        let value = serde_json::from_str::<Value>(&text);
        assert!(value.is_ok(), "{text}");
        assert_eq!(reason, FinishReason::Stop, "{text}");
        assert!(usage.output_tokens <= u64::from(limit));
    }
}

#[test]
fn a_schema_that_makes_no_grammar_holds_an_answer_to_json() {
    let (_turn, model) = model();
    for schema in [
        json!({ "type": "object", "properties": { "a": { "type": "string", "pattern": "(?=a)b" } } }),
        json!({ "enum": [] }),
        json!({ "type": "object", "$ref": "#/$defs/absent" }),
    ] {
        let asked = formal("Hello!", schema, 120);
        let (text, ..) = read(model.generate(asked).unwrap());
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
    }
}

/// Prompts are read in slices, in turn with the other answers.
#[test]
fn a_short_prompt_does_not_wait_behind_long_ones() {
    let (_turn, _model) = model();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/smollm2-135m-instruct-q4_1.gguf");
    let settings = EmbeddedSettings {
        queue_limit: 4,
        cached_conversations: 0,
        ..settings(path)
    };
    let model = EmbeddedModel::load(&settings).unwrap();
    let long = |number: u32| format!("{number} {}", "word ".repeat(380));
    let mut first = model.generate(request(&[&long(1)], 4)).unwrap();
    let mut second = model.generate(request(&[&long(2)], 4)).unwrap();
    let mut short = model.generate(request(&["Hi"], 4)).unwrap();
    short.blocking_recv().unwrap().unwrap();
    for long in [&mut first, &mut second] {
        assert!(
            long.try_recv().is_err(),
            "a long prompt was read before the short one"
        );
    }
    read(first);
    read(second);
}
