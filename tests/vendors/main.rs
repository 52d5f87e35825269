//! Today's models, as their vendors sell them: the server against a provider that refuses what
//! they refuse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may panic"
)]
#![allow(unreachable_pub, reason = "a test program has no users")]

#[path = "../support/mod.rs"]
mod support;

mod history;
mod refusals;
