//! The built-in tools.

mod calculator;
mod current_time;

pub use calculator::Calculator;
pub use current_time::CurrentTime;
