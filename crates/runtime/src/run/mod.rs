//! One run at work: its model calls, tools, messages, log and end.

pub(crate) mod child_run;
pub(crate) mod context;
pub(crate) mod context_window;
pub(crate) mod empty_answer;
pub(crate) mod event_log;
pub(crate) mod executor;
pub(crate) mod files;
pub(crate) mod handoff;
pub(crate) mod history;
pub(crate) mod interrupts;
pub(crate) mod message_builder;
pub(crate) mod prompt;
pub(crate) mod slot;
pub(crate) mod span;
pub(crate) mod step;
pub(crate) mod store_retry;
pub(crate) mod structured_output;
pub(crate) mod summary;
pub(crate) mod tool_calls;
pub(crate) mod usage_meter;
