//! Answers as servers really write them.

use async_compression::tokio::write::GzipEncoder;
use futures_util::StreamExt;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use talkgraph_domain::FinishReason;
use talkgraph_llm::{ChatModel, LlmError, ProviderKind, StreamPart, read_answer};
use tokio::io::AsyncWriteExt;

use crate::caller::{Answer, Call, ask, call, collect, provider, scripted, settings_of, tokens};
use crate::shapes::recorded;
use crate::upstream::{Script, Upstream, chunk, finish, usage};

/// What may be missing, null or of another type without a loss: all fields but these.
const ESSENTIAL: [&str; 43] = [
    "type",
    "choices",
    "delta",
    "message",
    "content",
    "text",
    "reasoning",
    "reasoning_content",
    "thinking",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "args",
    "id",
    "call_id",
    "index",
    "output_index",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "candidates",
    "parts",
    "functionCall",
    "thought",
    "thoughtSignature",
    "signature",
    "partial_json",
    "input",
    "content_block",
    "item",
    "response",
    "status",
    "output",
    "error",
    "encrypted_content",
    "summary",
    "refusal",
    "data",
    "x_groq",
    "incomplete_details",
    "object",
    "extra_content",
];

const FIXTURES: [(ProviderKind, &str); 17] = [
    (ProviderKind::OpenAi, "openai"),
    (ProviderKind::OpenAi, "vllm"),
    (ProviderKind::OpenAi, "ollama"),
    (ProviderKind::OpenAi, "deepseek"),
    (ProviderKind::OpenAi, "openai_tools"),
    (ProviderKind::OpenAi, "vllm_tools"),
    (ProviderKind::OpenAi, "ollama_tools"),
    (ProviderKind::OpenAi, "llamacpp_tools"),
    (ProviderKind::OpenAi, "groq_tools"),
    (ProviderKind::OpenAi, "openrouter_tools"),
    (ProviderKind::OpenAi, "mistral_tools"),
    (ProviderKind::OpenAi, "deepseek_tools"),
    (ProviderKind::Anthropic, "anthropic"),
    (ProviderKind::OpenAiResponses, "responses"),
    (ProviderKind::Gemini, "gemini"),
    (ProviderKind::Anthropic, "anthropic"),
    (ProviderKind::Gemini, "gemini"),
];

/// A value that no field has.
fn odd(random: &mut fastrand::Rng) -> Value {
    let odd = [
        json!(null),
        json!(-35),
        json!(2.5),
        json!(1e300),
        json!(u64::MAX),
        json!("odd"),
        json!(""),
        json!([]),
        json!([[1], {}]),
        json!({}),
        json!({ "a": { "b": null } }),
        json!(true),
    ];
    odd[random.usize(..odd.len())].clone()
}

/// Changes, removes and adds fields that are not essential.
fn disturb(value: &mut Value, random: &mut fastrand::Rng) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|entry| disturb(entry, random)),
        Value::Object(object) => {
            let fields = std::mem::take(object);
            let mut disturbed = Map::new();
            for (name, mut value) in fields {
                let is_essential = ESSENTIAL.contains(&&*name);
                match random.u8(..6) {
                    0 if !is_essential => continue,
                    1 if !is_essential => value = odd(random),
                    // Arguments are the model's own.
                    _ if matches!(&*name, "args" | "input") => {}
                    _ => disturb(&mut value, random),
                }
                disturbed.insert(name, value);
            }
            disturbed.insert(format!("odd_{}", random.u8(..)), odd(random));
            *object = disturbed;
        }
        _ => {}
    }
}

/// The recorded stream with each event changed.
fn changed(stream: &[u8], change: &mut impl FnMut(&mut Value)) -> Vec<u8> {
    let text = std::str::from_utf8(stream).unwrap();
    let lines = text.lines().map(|line| {
        let data = line.strip_prefix("data:").map(str::trim);
        let Some(Ok(mut event)) = data.map(serde_json::from_str::<Value>) else {
            return line.to_owned();
        };
        change(&mut event);
        format!("data: {event}")
    });
    lines.flat_map(|line| (line + "\n").into_bytes()).collect()
}

/// What counts of an answer.
fn read(kind: ProviderKind, stream: Vec<u8>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        let stream = read_answer(kind, vec![stream], 1_048_576);
        collect(stream).await
    });
    Answer {
        usage: None,
        signatures: Vec::new(),
        ..answer
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn odd_fields_change_nothing(fixture in 0..FIXTURES.len(), seed in any::<u64>()) {
        let (kind, name) = FIXTURES[fixture];
        let stream = recorded(name);
        let expected = read(kind, stream.clone());
        prop_assert!(expected.error.is_none() && expected.finish.is_some(), "{:?}", expected);
        let mut random = fastrand::Rng::with_seed(seed);
        let odd = changed(&stream, &mut |event| disturb(event, &mut random));
        let answer = read(kind, odd.clone());
        prop_assert_eq!(answer, expected, "{}", String::from_utf8_lossy(&odd));
    }
}

/// An odd number costs the usage, not the answer.
#[tokio::test]
async fn an_odd_usage_is_unknown() {
    let count = |count: Value| json!({ "prompt_tokens": 1151, "completion_tokens": count });
    for odd in [json!(-35), json!(2.5), json!("2"), json!({}), json!(null)] {
        let mut last: Value = serde_json::from_str(&finish("stop")).unwrap();
        last["usage"] = count(odd.clone());
        let script = Script::stream()
            .event(usage(1151, 1))
            .text(["Hi"])
            .event(&last)
            .event("[DONE]");
        let expected = Answer {
            usage: None,
            ..Answer::complete("Hi")
        };
        assert_eq!(scripted(script, |_| {}).await, expected, "{odd}");
    }
    // A whole number is one, however it is written.
    let whole = json!({ "choices": [], "usage": count(json!(2.0)) });
    let script = Script::stream()
        .text(["Hi"])
        .event(finish("stop"))
        .event(whole);
    assert_eq!(scripted(script, |_| {}).await.usage, Some(tokens(1151, 2)));

    for (kind, events) in [
        (
            ProviderKind::Anthropic,
            vec![
                json!({ "type": "message_start", "message": { "usage": {
                    "input_tokens": 5.5, "output_tokens": 1 } } }),
                json!({ "type": "content_block_delta", "index": 0,
                    "delta": { "type": "text_delta", "text": "Hi" } }),
                json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" },
                    "usage": { "output_tokens": 9 } }),
                json!({ "type": "message_stop" }),
            ],
        ),
        (
            ProviderKind::OpenAiResponses,
            vec![
                json!({ "type": "response.output_text.delta", "output_index": 0, "delta": "Hi" }),
                json!({ "type": "response.completed", "response": { "status": "completed",
                    "usage": { "input_tokens": -1, "output_tokens": 2 } } }),
            ],
        ),
        (
            ProviderKind::Gemini,
            vec![
                json!({ "candidates": [{ "content": { "parts": [{ "text": "Hi" }] },
                    "finishReason": "STOP" }],
                "usageMetadata": { "promptTokenCount": "7", "candidatesTokenCount": 1 } }),
            ],
        ),
    ] {
        let answer = answered(kind, events.iter().fold(Script::stream(), Script::event)).await;
        let expected = Answer {
            usage: None,
            ..Answer::complete("Hi")
        };
        assert_eq!(answer, expected, "{kind:?}");
    }
}

async fn answered(kind: ProviderKind, script: Script) -> Answer {
    let upstream = Upstream::start().await;
    upstream.then(script);
    call(&provider(settings_of(kind, upstream.base_url()))).await
}

fn called(arguments: &[&str]) -> Answer {
    let names = ["A", "B"].iter().zip(arguments);
    Answer {
        calls: names
            .map(|(id, arguments)| Call::complete(id, "f", arguments))
            .collect(),
        finish: Some(FinishReason::ToolCalls),
        ..Answer::default()
    }
}

fn piece(index: u64, id: &str, name: Option<&str>, arguments: &str) -> String {
    let function = json!({ "name": name, "arguments": arguments });
    chunk(&json!({ "tool_calls": [{ "index": index, "id": id, "function": function }] }))
}

#[tokio::test]
async fn ids_say_more_than_indexes() {
    let pieces = [
        piece(0, "A", Some("f"), ""),
        piece(0, "B", Some("f"), ""),
        piece(0, "A", None, "{\"x\":"),
        piece(0, "B", None, "{\"x\":"),
        piece(0, "A", None, "1}"),
        piece(0, "B", None, "2}"),
    ];
    let script = pieces.iter().fold(Script::stream(), Script::event);
    let script = script.event(finish("tool_calls")).event("[DONE]");
    let expected = called(&["{\"x\":1}", "{\"x\":2}"]);
    assert_eq!(scripted(script, |_| {}).await, expected);
}

#[tokio::test]
async fn no_call_is_made_twice() {
    let whole = |index, id| piece(index, id, Some("f"), "{\"x\":1}");
    let message = json!({ "choices": [{ "finish_reason": "tool_calls", "delta": {}, "message": {
        "tool_calls": [{ "id": "A", "function": { "name": "f", "arguments": "{\"x\": 1}" } }] } }] });
    for pieces in [
        // The same id at two indexes.
        vec![whole(0, "A"), whole(1, "A")],
        // The whole call, or its last piece, once more.
        vec![whole(0, "A"), whole(0, "A")],
        vec![
            piece(0, "A", Some("f"), "{\"x\":"),
            piece(0, "A", None, "1}"),
            piece(0, "A", None, "1}"),
        ],
        // With the final message.
        vec![whole(0, "A"), message.to_string()],
    ] {
        let script = pieces.iter().fold(Script::stream(), Script::event);
        let script = script.event(finish("tool_calls")).event("[DONE]");
        let answer = scripted(script, |_| {}).await;
        assert_eq!(answer, called(&["{\"x\":1}"]), "{pieces:?}");
    }
}

#[tokio::test]
async fn a_function_call_of_old_is_a_call() {
    let pieces = [
        json!({ "function_call": { "name": "f", "arguments": "" } }),
        json!({ "function_call": { "arguments": "{\"x\":" } }),
        json!({ "function_call": { "arguments": "1}" } }),
    ];
    let script = pieces
        .iter()
        .fold(Script::stream(), |script, piece| script.event(chunk(piece)));
    let answer = scripted(
        script.event(finish("function_call")).event("[DONE]"),
        |_| {},
    )
    .await;
    assert_eq!(answer.finish, Some(FinishReason::ToolCalls));
    let made: Vec<_> = answer.calls.iter().collect();
    assert_eq!((&*made[0].name, &*made[0].arguments), ("f", "{\"x\":1}"));
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn half_a_character_waits_for_the_other() {
    let content = |escaped: &str| {
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{escaped}\"}}}}]}}\n\n")
    };
    let bytes = |half: &[u8]| {
        let event = content("@").into_bytes();
        let at = event.iter().position(|byte| *byte == b'@').unwrap();
        [&event[..at], half, &event[at + 1..]].concat()
    };
    let crab = "🦀".as_bytes();
    for (first, second, expected) in [
        (
            content("a\\ud83e").into_bytes(),
            content("\\udd80b").into_bytes(),
            "a🦀b",
        ),
        (bytes(&crab[..2]), bytes(&crab[2..]), "🦀"),
        (
            content("a\\ud83e").into_bytes(),
            content("b").into_bytes(),
            "a\u{FFFD}b",
        ),
        (
            content("a").into_bytes(),
            content("\\udd80").into_bytes(),
            "a\u{FFFD}",
        ),
        (
            content("a").into_bytes(),
            content("b\\ud83e").into_bytes(),
            "ab\u{FFFD}",
        ),
    ] {
        let script = Script::stream().bytes(first).bytes(second).ended();
        assert_eq!(scripted(script, |_| {}).await, Answer::complete(expected));
    }
}

#[tokio::test]
async fn reasoning_between_tags_is_reasoning() {
    for pieces in [
        vec!["<think>\nIs it ", "{Paris}?\n</think>\n\n", "Paris"],
        vec![
            "<",
            "thi",
            "nking>Is it {Paris}?<",
            "/thinking>",
            "\n",
            "Paris",
        ],
        vec!["Is it {Paris}?\n</th", "ink>\n\nPa", "ris"],
    ] {
        let answer = scripted(Script::tokens(&pieces), |_| {}).await;
        let expected = Answer {
            reasoning: "Is it {Paris}?".to_owned(),
            ..Answer::complete("Paris")
        };
        assert_eq!(answer, expected, "{pieces:?}");
    }
}

/// What comes only at the end is taken from there, and what has come is not taken again.
#[tokio::test]
async fn the_final_event_has_what_no_other_had() {
    let message = json!({ "type": "message", "id": "msg_1",
        "content": [{ "type": "output_text", "text": "Hi" }] });
    let completed = json!({ "type": "response.completed",
        "response": { "status": "completed", "output": [message] } });
    let done = json!({ "type": "response.output_text.done", "output_index": 0, "text": "Hi" });
    let delta = json!({ "type": "response.output_text.delta", "output_index": 0, "delta": "Hi" });
    let item = json!({ "type": "response.output_item.done", "output_index": 0, "item": message });
    let last = json!({ "choices": [{ "finish_reason": "stop", "delta": null,
        "message": { "role": "assistant", "content": "Hi" } }] });
    let empty = json!({ "choices": [{ "finish_reason": "stop", "delta": { "role": "assistant" },
        "message": { "role": "assistant", "content": "Hi" } }] });
    let token: Value = serde_json::from_str(&chunk(&json!({ "content": "Hi" }))).unwrap();
    let whole = json!({ "type": "message", "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": "Hi" }] });
    use ProviderKind::{Anthropic, OpenAi, OpenAiResponses};
    for (kind, events) in [
        (OpenAiResponses, vec![&completed]),
        (OpenAiResponses, vec![&done, &completed]),
        (OpenAiResponses, vec![&delta, &done, &item, &completed]),
        (OpenAiResponses, vec![&item, &completed]),
        (OpenAi, vec![&last]),
        (OpenAi, vec![&empty]),
        (OpenAi, vec![&token, &last]),
        (OpenAi, vec![&token, &empty]),
        (Anthropic, vec![&whole]),
    ] {
        let script = events.iter().fold(Script::stream(), Script::event);
        let answer = answered(kind, script.clone()).await;
        let expected = Answer {
            usage: None,
            ..Answer::complete("Hi")
        };
        assert_eq!(answer, expected, "{events:?}");
    }
}

#[tokio::test]
async fn calls_of_the_final_event_are_made_once() {
    let call = json!({ "type": "function_call", "id": "fc_1", "call_id": "A", "name": "f",
        "arguments": "{\"x\":1}" });
    let added = json!({ "type": "response.output_item.added", "output_index": 0,
        "item": { "type": "function_call", "id": "fc_1", "call_id": "A", "name": "f" } });
    let delta = json!({ "type": "response.function_call_arguments.delta", "output_index": 0,
        "item_id": "fc_1", "delta": "{\"x\":1}" });
    let done = json!({ "type": "response.function_call_arguments.done", "output_index": 0,
        "item_id": "fc_1", "arguments": "{\"x\":1}" });
    let item = json!({ "type": "response.output_item.done", "output_index": 0, "item": call });
    let completed = json!({ "type": "response.completed",
        "response": { "status": "completed", "output": [call] } });
    for events in [
        vec![&completed],
        vec![&added, &done, &completed],
        vec![&added, &delta, &done, &item, &completed],
        vec![&item, &completed],
    ] {
        let script = events.iter().fold(Script::stream(), Script::event);
        let answer = answered(ProviderKind::OpenAiResponses, script).await;
        assert_eq!(answer, called(&["{\"x\":1}"]), "{events:?}");
    }
}

#[tokio::test]
async fn the_content_type_is_not_what_tells() {
    let tokens = Script::tokens(["H", "i"]);
    let completion = json!({ "choices": [{ "finish_reason": "stop", "message": { "content": "Hi" } }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 } });
    for kind in ["application/json", "text/plain", "text/event-stream", "x"] {
        let events = Script::status(200).header("content-type", kind);
        let mut events = events.clone();
        events.append(tokens.clone());
        assert_eq!(
            scripted(events, |_| {}).await,
            Answer::complete("Hi"),
            "{kind}"
        );
        let whole = Script::status(200)
            .header("content-type", kind)
            .bytes(" \n")
            .bytes(completion.to_string());
        assert_eq!(
            scripted(whole, |_| {}).await,
            Answer::complete("Hi"),
            "{kind}"
        );
    }
    // Events without their `data:`, one a line.
    let lines = Script::status(200)
        .bytes(chunk(&json!({ "content": "Hi" })) + "\n")
        .bytes(finish("stop") + "\n")
        .bytes(usage(7, 3));
    assert_eq!(scripted(lines, |_| {}).await, Answer::complete("Hi"));
    // The blank line after the last event is missing.
    let unfinished = Script::stream().text(["Hi"]).event(usage(7, 3));
    let unfinished = unfinished.bytes(format!("data: {}", finish("stop")));
    assert_eq!(scripted(unfinished, |_| {}).await, Answer::complete("Hi"));
}

/// Compresses texts, each flushed.
async fn compressed(texts: &[String]) -> Vec<Vec<u8>> {
    let mut encoder = GzipEncoder::new(Vec::new());
    let mut pieces = Vec::new();
    for text in texts {
        encoder.write_all(text.as_bytes()).await.unwrap();
        encoder.flush().await.unwrap();
        pieces.push(std::mem::take(encoder.get_mut()));
    }
    encoder.shutdown().await.unwrap();
    pieces.push(std::mem::take(encoder.get_mut()));
    pieces
}

#[tokio::test]
async fn what_is_compressed_unasked_is_read_as_it_comes() {
    let event = |data: String| format!("data: {data}\n\n");
    let first = event(chunk(&json!({ "content": "H" })));
    let rest = event(chunk(&json!({ "content": "i" })))
        + &event(finish("stop"))
        + &event(usage(7, 3))
        + &event("[DONE]".to_owned());
    let pieces = compressed(&[first, rest]).await;
    let upstream = Upstream::start().await;
    let script = Script::stream().header("content-encoding", "gzip");
    let script = script.bytes(pieces[0].clone()).hold();
    let script = pieces[1..].iter().cloned().fold(script, Script::bytes);
    upstream.then(script);
    let provider = provider(settings_of(ProviderKind::OpenAi, upstream.base_url()));
    let mut stream = provider.stream(ask("?")).await.unwrap();
    // The first token is there before the rest is written.
    let part = stream.next().await;
    assert_eq!(part, Some(Ok(StreamPart::Text("H".to_owned()))));
    upstream.release();
    assert_eq!(collect(stream).await, Answer::complete("i"));

    let completion = json!({ "choices": [{ "finish_reason": "stop", "message": { "content": "Hi" } }],
        "usage": { "prompt_tokens": 7, "completion_tokens": 3 } });
    let error = json!({ "error": { "code": "context_length_exceeded" } });
    let body = compressed(&[error.to_string()]).await.concat();
    let refused = Script::status(400)
        .header("content-encoding", "gzip")
        .bytes(body);
    let exceeded = LlmError::ContextExceeded { limit: None };
    assert_eq!(
        scripted(refused, |_| {}).await,
        Answer::failed("", exceeded)
    );

    let whole = compressed(&[completion.to_string()]).await.concat();
    let script = Script::status(200)
        .header("content-encoding", "gzip")
        .bytes(whole);
    assert_eq!(scripted(script, |_| {}).await, Answer::complete("Hi"));
}

/// 100 MB of one line, in 100 kB.
#[tokio::test]
async fn a_bomb_takes_no_memory() {
    let line = "data: ".to_owned() + &"x".repeat(100 * 1024 * 1024);
    let bomb = compressed(&[line]).await.concat();
    let script = Script::stream()
        .header("content-encoding", "gzip")
        .bytes(bomb);
    let answer = scripted(script, |_| {}).await;
    assert!(answer.error.is_some(), "{answer:?}");
}

/// Signs of life put off the limits; bytes that are none do not.
#[tokio::test]
async fn alive_is_not_idle() {
    use std::time::Duration;
    let limits = |settings: &mut talkgraph_llm::ProviderSettings| {
        settings.first_token_timeout = Duration::from_millis(400);
        settings.idle_timeout = Duration::from_millis(400);
    };
    let pause = Duration::from_millis(100);
    let role = chunk(&json!({ "role": "assistant", "content": "" }));
    for sign in [": thinking\n\n".to_owned(), format!("data: {role}\n\n")] {
        let alive = (0..8).fold(Script::stream(), |script, _| script.bytes(sign.clone()));
        let mut script = alive.clone().paced(pause);
        script.append(Script::stream().text(["H"]));
        script.append(alive.paced(pause));
        script.append(Script::stream().text(["i"]).ended());
        assert_eq!(
            scripted(script, limits).await,
            Answer::complete("Hi"),
            "{sign}"
        );
    }
}
