//! What the server costs: `cargo bench`, a few minutes on a quiet machine.
//!
//! - chat: turns per second with 64 connections, everything stored in SQLite, against a bare
//!   relay that stores nothing; each server alone on one core, the model and the clients on
//!   another;
//! - start: time to readiness, idle memory, size of the binary;
//! - history: 50 sessions of 20 messages in one request.
//!
//! `cargo bench -- chat` runs one of them, and `cargo bench -- --against PATH` also measures
//! another binary of this server in the same rounds. Nothing is asserted: the numbers belong
//! to the machine.
//!
//! The model, the relay and the clients are this program again, started with a role as its
//! first argument.

mod chat;
mod history;
mod load;
mod process;
mod relay;
mod start;
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
        ["as-upstream"] => alone(upstream::serve()),
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
        chat::measure(&cores, against).await?;
    }
    if runs("start") {
        start::measure().await?;
    }
    if runs("history") {
        history::measure(&cores).await?;
    }
    Ok(())
}
