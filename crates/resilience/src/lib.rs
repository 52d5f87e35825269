//! What keeps the server standing when something that it calls does not: one idea a file,
//! none of which knows what is called.
//!
//! Time is tokio's, so that tests can stop it.

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod gate;
pub mod retry_after;
pub mod rotation;

pub use backoff::Backoff;
pub use breaker::{Breaker, Open, Permit};
pub use budget::Budget;
pub use gate::{Gate, Place};
pub use rotation::Rotation;
