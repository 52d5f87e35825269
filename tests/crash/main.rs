//! The crash test: people chat, servers are killed at random instants and started again, or
//! their database is away for a while, and in the end nothing that anybody was told is lost,
//! doubled or different.
//!
//! `CRASH_DEATHS`, `CRASH_OUTAGES` and `CRASH_SEED` change how often there is trouble and what
//! is random in it. A seed repeats the decisions; the instants are the machine's own all the
//! same. What the servers logged and stored is kept in `target/tmp` when something is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

mod breaker;
mod feed;
mod follower;
mod killer;
mod model;
mod rows;
mod servers;
mod speaker;
mod trial;
mod verdict;
mod view;
mod world;

use std::io::Write;

use support::database::on_postgres;
use trial::Trial;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_followed_by_one_that_goes_on() {
    Trial::deaths(12).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_followed_by_one_that_fails_its_runs() {
    Trial::deaths(6).failing().run().await;
}

#[test]
fn a_server_that_dies_leaves_its_runs_to_another() {
    on_postgres(async |database| Trial::deaths(6).on(&database).run().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_outlast_a_file_that_cannot_be_written() {
    Trial::outages(8).run().await;
}

#[test]
fn runs_outlast_a_database_that_cannot_be_reached() {
    on_postgres(async |database| Trial::outages(8).on(&database).run().await);
}

fn say(text: &str) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr(), "crash test: {text}");
}
