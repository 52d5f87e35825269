//! The OpenAI-compatible provider against a scripted one, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

mod answers;
mod caller;
mod faults;
mod resilience;
mod shapes;
#[path = "../support/upstream/mod.rs"]
mod upstream;
