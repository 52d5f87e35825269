//! The soak test: many people chat for a long time while subscribers come and go, and in the
//! end the server holds no more memory and no more handles than early on, and no word was lost.
//!
//! `SOAK_SECONDS` is the time it takes, `SOAK_CHATS` the number of chats at once,
//! `TALKGRAPH_BIN` the program to use instead of the one that cargo built. The suite runs it
//! for some seconds, where only the words are judged; `scripts/soak` for an hour.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

mod chatter;
mod gauge;
mod model;
mod visitor;
mod world;

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;

use gauge::Gauge;
use support::process::{Process, program};
use world::World;

/// The time it takes in the suite.
const SHORT: Duration = Duration::from_secs(12);

/// The shortest time of which memory can be judged: caches are full by then.
const JUDGED: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_works_for_long_grows_no_further() {
    let time = variable("SOAK_SECONDS").map_or(SHORT, Duration::from_secs);
    let chats = variable("SOAK_CHATS").unwrap_or(match time < JUDGED {
        true => 10,
        false => 100,
    });
    let upstream = model::start().await;
    let folder = TempDir::new().unwrap();
    let mut server = start(&folder, &upstream.base_url()).await;
    let world = Arc::new(World::new(server.client()));
    let mut people = JoinSet::new();
    for number in 0..chats {
        people.spawn(chatter::chat(Arc::clone(&world), number));
    }
    for number in 0..chats.div_ceil(2) {
        people.spawn(visitor::visit(Arc::clone(&world), number));
    }
    let mut gauge = Gauge::new(&server, folder.path());
    gauge.watch(time, &world, &mut people).await;
    world.stop();
    while let Some(ended) = people.join_next().await {
        ended.unwrap();
    }
    world.assert_busy();
    say(&world.summary());
    // With its pool of connections.
    drop(world);
    gauge.assert_handles_given_back().await;
    if time >= JUDGED {
        gauge.assert_flat();
    }
    server.terminate();
    assert_eq!(server.exit_code().await, Some(0), "{}", server.log());
}

async fn start(folder: &TempDir, base_url: &str) -> Process {
    let settings = [
        ("models.openai.base_url", base_url),
        ("models.openai.api_key", "sk-soak"),
        // With the line that says where it listens.
        ("telemetry.log", "warn,talkgraph::app=info"),
    ];
    let template = program(folder.path(), &[], &settings);
    let binary = std::env::var_os("TALKGRAPH_BIN");
    let mut command = Command::new(binary.as_deref().unwrap_or(template.get_program()));
    command.env_clear().current_dir(folder.path());
    for (name, value) in template.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    Process::serve(command).await
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect(name))
}

fn say(text: &str) {
    // No one is left to read it if this fails.
    let _ = writeln!(std::io::stderr(), "soak test: {text}");
}
