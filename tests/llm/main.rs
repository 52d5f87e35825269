//! The vendors' protocols against a scripted provider, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

mod answers;
mod caller;
mod connection;
mod faults;
mod history;
mod odd;
mod recorded;
mod resilience;
mod shapes;
mod unsupported;
#[path = "../support/upstream/mod.rs"]
mod upstream;
mod vendors;
