//! The limits of runs: the server's, or an agent's own where those are stricter.

use std::time::Duration;

use talkgraph_domain::{AgentSpec, OnRestart};

/// The server's limits of runs.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// The shortest interval between progress events of a call.
    pub progress_interval: Duration,
    /// The most runs that execute at once.
    pub active: usize,
    /// The most runs that wait for an execution slot.
    pub queued: usize,
    /// The longest execution of a run.
    pub timeout: Duration,
    /// The most earlier messages in a prompt.
    pub history_messages: u32,
    /// The most events of a run.
    pub log_events: u64,
    /// The largest log of a run, in bytes, approximately: pieces count with little more than their
    /// text.
    pub log_bytes: u64,
    /// The largest message of a run, in bytes.
    pub answer_bytes: usize,
    /// The number of events of a live run that are kept in memory.
    pub tail_events: usize,
    /// The time for which a silent node keeps its runs.
    pub lease: Duration,
    /// The time for which an idempotency key refers to the run that it started.
    pub idempotency_ttl: Duration,
    /// The longest time of one model call.
    pub step_timeout: Duration,
    /// The most model calls of a run.
    pub max_steps: u32,
    /// The most tool calls of a run at once.
    pub parallel_tools: usize,
    /// The most invalid tool calls of a run.
    pub tool_mistakes: u32,
    /// The most hand-offs of a run.
    pub max_handoffs: u32,
    /// The greatest depth of child runs.
    pub max_depth: u32,
    /// The most repairs of invalid structured output in a run.
    pub output_repairs: u32,
    /// The most retries of empty output in a run.
    pub empty_answers: u32,
    /// The most output tokens of one model call.
    pub max_output_tokens: Option<u32>,
    /// The longest time for which a run waits for an unavailable database.
    pub store_outage: Duration,
    /// The handling of a step whose server stopped.
    pub on_restart: OnRestart,
    /// The most restarts of the steps of one run.
    pub restarts: u32,
    /// The number of a stopped server's active runs that are restarted at once, until they have
    /// outlived their probation.
    pub resumed_at_once: usize,
    /// The time after which a restarted run is no longer suspected to crash servers.
    pub probation: Duration,
    /// The most runs that wait in one session.
    pub session_queue: u32,
    /// The time for which the log of an ended run stays whole; unlimited if absent.
    pub log_retention: Option<Duration>,
    /// The time after which an interrupt expires.
    pub interrupt_expiry: Duration,
    /// The most interrupts of a run.
    pub interrupts: usize,
    /// The largest result of a client tool, in bytes; longer ones are cut.
    pub client_output_bytes: usize,
    /// The longest time for which a call waits for the resolution of its input request.
    pub input_timeout: Duration,
    /// The most bytes of files in all tool results of one run.
    pub result_file_bytes: u64,
    /// The number of events that a subscriber may lag before adjacent pieces are merged for it.
    pub behind_events: u64,
    /// The number of events that a subscriber may lag before its stream ends.
    pub lag_events: u64,
}

/// The limits of a run with one agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The longest execution of the run.
    pub(crate) run_timeout: Duration,
    /// The longest time of one model call.
    pub(crate) step_timeout: Duration,
    /// The most model calls.
    pub(crate) max_steps: u32,
    /// The most earlier messages in a prompt.
    pub(crate) history_messages: u32,
    /// The most output tokens of one model call.
    pub(crate) max_output_tokens: Option<u32>,
    /// The highest cost, in US dollars.
    pub(crate) max_cost_usd: Option<f64>,
}

impl Limits {
    pub(crate) fn of(server: &RunLimits, agent: &AgentSpec) -> Self {
        let (own, answers) = (&agent.limits, &agent.parameters);
        let seconds = |own: Option<u64>| own.map(Duration::from_secs);
        Self {
            run_timeout: lesser(server.timeout, seconds(own.run_timeout_s)),
            step_timeout: lesser(server.step_timeout, seconds(own.step_timeout_s)),
            max_steps: lesser(server.max_steps, own.max_steps),
            history_messages: lesser(server.history_messages, own.history_messages),
            max_output_tokens: match server.max_output_tokens {
                Some(most) => Some(lesser(most, answers.max_output_tokens)),
                None => answers.max_output_tokens,
            },
            max_cost_usd: own.max_cost_usd,
        }
    }
}

fn lesser<T: Ord>(most: T, own: Option<T>) -> T {
    match own {
        Some(own) => most.min(own),
        None => most,
    }
}
