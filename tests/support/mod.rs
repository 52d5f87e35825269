//! What the test crates share.
#![allow(dead_code, reason = "no test crate uses all of it")]

pub(crate) mod database;
pub(crate) mod scene;
