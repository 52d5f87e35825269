//! Whatever bytes a model provider answers, reading them comes to an end, and what comes of them
//! is in order: calls are numbered as they start, none is completed twice, and nothing but usage
//! follows the finish reason.
//!
//!     cargo +nightly fuzz run answers fuzz/corpus/answers tests/fixtures

#![no_main]

use std::sync::OnceLock;

use futures_util::StreamExt;
use libfuzzer_sys::fuzz_target;
use talkgraph_llm::{ProviderKind, StreamPart, read_answer};
use tokio::runtime::Runtime;

const EVENT_BYTES: usize = 16 * 1024;

fuzz_target!(|input: &[u8]| {
    let (way, bytes) = input.split_first().unwrap_or((&0, &[]));
    let kind = match way % 4 {
        0 => ProviderKind::OpenAi,
        1 => ProviderKind::OpenAiResponses,
        2 => ProviderKind::Anthropic,
        _ => ProviderKind::Gemini,
    };
    let pieces = bytes.chunks(usize::from(way / 4) + 1).map(<[u8]>::to_vec);
    let pieces = pieces.collect();
    runtime().block_on(async {
        let mut answer = read_answer(kind, pieces, EVENT_BYTES);
        let (mut started, mut completed, mut finished) = (0, Vec::new(), false);
        while let Some(part) = answer.next().await {
            match part {
                Ok(StreamPart::Usage(_) | StreamPart::UsageUnknown) | Err(_) => {}
                Ok(_) if finished => panic!("something follows the finish reason"),
                Ok(StreamPart::ToolCallStarted { index, .. }) => {
                    assert_eq!(index, started);
                    started += 1;
                }
                Ok(StreamPart::ToolCallArguments { index, delta }) => {
                    assert!(index < started && !completed.contains(&index) && !delta.is_empty());
                }
                Ok(StreamPart::ToolCallCompleted { index }) => {
                    assert!(index < started && !completed.contains(&index));
                    completed.push(index);
                }
                Ok(StreamPart::Finish(_)) => finished = true,
                Ok(_) => {}
            }
        }
    });
});

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().expect("a runtime")
    })
}
