//! Resilience against failing dependencies: one mechanism in each file, independent of the called
//! service.
//!
//! All times are tokio's, so that tests can pause them.

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
