//! What the server costs: `cargo bench`, a few minutes on a quiet machine.
//!
//! - chat: turns per second with 64 connections, everything stored in SQLite, against a bare
//!   relay that stores nothing; each server alone on one core, the model and the clients on
//!   another;
//! - streams: 200 answers at once of 50 tokens a second, everything stored: how much later each
//!   token reaches its client, and what it costs, than through that relay;
//! - idle: the memory of a subscriber that waits;
//! - start: time to readiness, idle memory, size of the binary;
//! - history: 50 sessions of 20 messages in one request;
//! - endpoint: the cheapest query, against a plain handler of the same JSON;
//! - events: what an event costs of a run that has 100,000 of them, alone and beside 1,000
//!   subscriptions that wait;
//! - hostile: what refusing each of the tests' hostile requests costs.
//!
//! `cargo bench -- chat` runs one of them, and `cargo bench -- --against PATH` also measures
//! another binary of this server in the same rounds of chat and streams. Nothing is asserted: the numbers belong
//! to the machine.
//!
//! The model, the relay, the plain handler and the clients are this program again, started with a role as its
//! first argument.

mod chat;
mod contest;
mod endpoint;
mod events;
mod follow;
mod history;
mod hostile;
mod idle;
mod load;
mod paced;
mod process;
mod readers;
mod relay;
mod socket;
mod start;
mod streams;
mod table;
mod upstream;

use std::path::PathBuf;

use table::say;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome {
    // Cargo says --bench to every bench program.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["as-upstream", rest @ ..] => alone(upstream::serve(rest.first().copied())),
        ["as-paced-upstream"] => paced::serve(),
        ["as-readers", rest @ ..] => alone(readers::run(rest)),
        ["as-plain"] => tokio::runtime::Runtime::new()?.block_on(endpoint::serve()),
        ["as-follower", rest @ ..] => follow::run(rest),
        ["as-relay", upstream] => tokio::runtime::Runtime::new()?.block_on(relay::serve(upstream)),
        ["as-clients", rest @ ..] => alone(load::run(rest)),
        ["--against", path, wanted @ ..] => alone(all(Some(PathBuf::from(path)), wanted)),
        wanted => alone(all(None, wanted)),
    }
}

fn alone(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

async fn all(against: Option<PathBuf>, wanted: &[&str]) -> Outcome {
    let cores = process::Cores::of_this_machine()?;
    say(&format!("{cores}; {}", process::load_average()?))?;
    let runs = |name| wanted.is_empty() || wanted.contains(&name);
    if runs("chat") {
        chat::measure(&cores, against.clone()).await?;
    }
    if runs("streams") {
        streams::measure(&cores, against.as_deref())?;
    }
    if runs("idle") {
        idle::measure(&cores).await?;
    }
    if runs("start") {
        start::measure().await?;
    }
    if runs("history") {
        history::measure(&cores).await?;
    }
    if runs("endpoint") {
        endpoint::measure(&cores)?;
    }
    if runs("events") {
        events::measure(&cores).await?;
    }
    if runs("hostile") {
        hostile::measure(&cores)?;
    }
    Ok(())
}
