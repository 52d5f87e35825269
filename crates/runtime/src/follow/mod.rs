//! Reading runs and sessions, from the log and live.

pub(crate) mod error;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod transcript;
