//! The server with real parts around it: providers, MCP servers and API descriptions that others
//! have written. `scripts/parts` installs them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../vendors/agents.rs"]
mod agents;
mod bodies;
#[path = "../vendors/house.rs"]
mod house;
mod llamacpp;
mod mocks;
mod part;
mod tools;
