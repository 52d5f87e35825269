//! Panics as events of the log, so that every line has the same format.

use std::panic::PanicHookInfo;

/// Logs panics instead of writing them to standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log));
}

fn log(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    // A formatted text may contain a prompt.
    match panic.payload().downcast_ref::<&str>() {
        Some(reason) => tracing::error!(at, reason, "panicked"),
        None => tracing::error!(at, "panicked"),
    }
    if let Some(reason) = panic.payload().downcast_ref::<String>() {
        tracing::trace!(at, reason, "panicked");
    }
}
