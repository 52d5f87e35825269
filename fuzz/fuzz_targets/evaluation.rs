//! Whatever a template, a schema or an expression says, each evaluator comes back, with a result
//! or an error, and the process lives on.
//!
//!     cargo +nightly fuzz run evaluation fuzz/corpus/evaluation fuzz/seeds/evaluation

#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};
use talkgraph_domain::Principal;
use talkgraph_evaluation::{Escape, EvaluationLimits, Evaluator, Failure, Whom};
use tokio::runtime::Runtime;

/// The longest a job may take, and the longest until it has come back.
const JOB_TIMEOUT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(20);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((way, bytes)) = input.split_first() else {
        return Corpus::Reject;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Corpus::Reject;
    };
    let (runtime, evaluator) = evaluator();
    runtime.block_on(async {
        let evaluated = tokio::time::timeout(PATIENCE, evaluate(evaluator, *way, text));
        match evaluated.await.expect("no result") {
            Err(Failure::Unavailable(why)) => panic!("{why}"),
            Ok(()) => Corpus::Keep,
            Err(_) => Corpus::Keep,
        }
    })
});

async fn evaluate(evaluator: &Evaluator, way: u8, text: &str) -> Result<(), Failure> {
    let who = Principal::development();
    let value = json!({ "a": "x", "b": [1, 2, { "c": null }], "d": { "a": { "a": 1 } } });
    let fields = value.as_object().expect("an object");
    match way % 5 {
        0 => {
            evaluator.check_instructions((&who).into(), text).await?;
            evaluator.variables_of((&who).into(), text).await?;
            let at = talkgraph_domain::time::now();
            evaluator.instructions(&who, text, at, fields).await?;
        }
        1 => {
            let Ok(schema) = serde_json::from_str::<Value>(text) else {
                return Ok(());
            };
            let schema = evaluator.compile(Whom::Server, &schema).await?;
            let whole = evaluator.validate((&who).into(), &schema, &value, "it");
            whole.await?;
        }
        2 => {
            evaluator.check_expression(text).await?;
            evaluator.holds(&who, text, &value).await?;
        }
        3 => {
            evaluator.request(&who, text, Escape::Url, &value).await?;
            evaluator.request(&who, text, Escape::Json, &value).await?;
        }
        _ => drop(evaluator.calculate(&who, text).await?),
    }
    Ok(())
}

fn evaluator() -> &'static (Runtime, Evaluator) {
    static EVALUATOR: OnceLock<(Runtime, Evaluator)> = OnceLock::new();
    EVALUATOR.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let this = std::env::current_exe().expect("this program");
        let evaluator = Evaluator::new(EvaluationLimits {
            // This program is a fuzzer; its neighbour is a worker.
            program: Some(this.with_file_name("evaluate")),
            workers: 1,
            workers_per_tenant: 1,
            queue: 8,
            queue_per_tenant: 8,
            queue_bytes: 1 << 24,
            queue_timeout: PATIENCE,
            job_timeout: JOB_TIMEOUT,
            start_timeout: PATIENCE,
            memory_bytes: 128 << 20,
            idle: PATIENCE,
        });
        (runtime, evaluator)
    })
}
