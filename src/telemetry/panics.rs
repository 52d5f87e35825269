//! Panics as events of the log, so that its every line has its format.

use std::panic::PanicHookInfo;

/// Logs panics from here on instead of writing them to standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log));
}

fn log(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string);
    // A text that was put together may have a prompt in it.
    match panic.payload().downcast_ref::<&str>() {
        Some(reason) => tracing::error!(at, reason, "panicked"),
        None => tracing::error!(at, "panicked"),
    }
    if let Some(reason) = panic.payload().downcast_ref::<String>() {
        tracing::trace!(at, reason, "panicked");
    }
}
