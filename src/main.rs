//! The program: arguments, runtime, exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use talkgraph::cli::{Cli, block_on};

/// One task allocates small pieces that another drops, which is slow with the system's allocator:
/// it takes about a twentieth of a turn's processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // While there is only this thread: it concerns the environment.
    #[cfg(feature = "embedded-model")]
    talkgraph_llm::embedded::prefer_single_threaded_products();
    let cli = Cli::parse();
    if let Some(code) = cli.run_alone() {
        return code;
    }
    match block_on(cli.run()) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => fail(error.as_ref()),
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    if talkgraph::telemetry::is_json() {
        tracing::error!(%error, "command failed");
    } else {
        // There is no one left to report to if this fails.
        let _ = writeln!(std::io::stderr(), "talkgraph: {error}");
    }
    ExitCode::FAILURE
}
