//! What keeps the server standing when something that it calls does not: one idea a file,
//! none of which knows what is called.
//!
//! Time is tokio's, so that tests can stop it.

pub(crate) mod backoff;
pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod gate;
pub(crate) mod retry_after;
pub(crate) mod rotation;

pub(crate) use backoff::Backoff;
pub(crate) use breaker::{Breaker, Open, Permit};
pub(crate) use budget::Budget;
pub(crate) use gate::{Gate, Place};
pub(crate) use rotation::Rotation;
