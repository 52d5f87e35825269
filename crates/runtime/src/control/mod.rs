//! Starting, stopping, resuming and looking after runs.

pub(crate) mod branch;
pub(crate) mod cancel;
pub(crate) mod cancel_on_disconnect;
pub(crate) mod child_runs;
pub(crate) mod client_tools;
pub(crate) mod clock_watch;
pub(crate) mod heartbeat;
pub(crate) mod housekeeping;
pub(crate) mod idempotency;
pub(crate) mod interrupt_expiry;
pub(crate) mod lifecycle;
pub(crate) mod log_compaction;
pub(crate) mod preempt;
pub(crate) mod recovery;
pub(crate) mod request_check;
pub(crate) mod resolve;
pub(crate) mod resolve_error;
pub(crate) mod restart_queue;
pub(crate) mod session_purge;
pub(crate) mod start;
pub(crate) mod start_error;
pub(crate) mod started;
pub(crate) mod takeover;
pub(crate) mod uploads;
