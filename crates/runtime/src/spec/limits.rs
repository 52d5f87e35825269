//! What a run may take: the server's limits, or its agent's own where those are stricter.

use std::time::Duration;

use talkgraph_domain::{AgentSpec, OnRestart};

/// Bounds on runs.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// The shortest time between two events of a call's progress.
    pub progress_interval: Duration,
    /// How many are made at once.
    pub active: usize,
    /// How many may wait for that.
    pub queued: usize,
    /// The longest a run may take.
    pub timeout: Duration,
    /// How many earlier messages a model is shown.
    pub history_messages: u32,
    /// The most events of a run.
    pub log_events: u64,
    /// The largest log of a run, in bytes; about, pieces take little more than their text.
    pub log_bytes: u64,
    /// The longest answer, in bytes.
    pub answer_bytes: usize,
    /// How many events of a live run are kept in memory.
    pub tail_events: usize,
    /// How long a run stays with a node that is silent.
    pub lease: Duration,
    /// How long a client's key stands for the run that it has started.
    pub idempotency_ttl: Duration,
    /// The longest one model call may take.
    pub step_timeout: Duration,
    /// How many model calls a run may have.
    pub max_steps: u32,
    /// How many calls of tools a run makes at once.
    pub parallel_tools: usize,
    /// How many calls of a run its model may get wrong.
    pub tool_mistakes: u32,
    /// How often a run may be handed to another agent.
    pub max_handoffs: u32,
    /// How many runs may be above a run that an agent has asked for.
    pub max_depth: u32,
    /// How many answers of a run are made anew that are not of the form that was asked for.
    pub output_repairs: u32,
    /// How many empty answers of a run are asked for again.
    pub empty_answers: u32,
    /// The longest answer of one model call, in tokens.
    pub max_output_tokens: Option<u32>,
    /// How long a run waits for a database that is away.
    pub store_outage: Duration,
    /// What becomes of a step whose server died.
    pub on_restart: OnRestart,
    /// How often the steps of one run are made again.
    pub restarts: u32,
    /// The number of a dead server's active runs that are restarted at once, until they have
    /// outlived their probation.
    pub resumed_at_once: usize,
    /// The time that a restarted run must live to be no longer suspected.
    pub probation: Duration,
    /// How many runs may wait for others of their session.
    pub session_queue: u32,
    /// How long the log of an ended run stays whole; for ever when absent.
    pub log_retention: Option<Duration>,
    /// How long an interrupt waits for its answer.
    pub interrupt_expiry: Duration,
    /// How many interrupts a run may have.
    pub interrupts: usize,
    /// The largest result of a client's tool, in bytes; more is cut.
    pub client_output_bytes: usize,
    /// The longest time for which a call waits for the answer to a question of its server.
    pub input_timeout: Duration,
    /// The bytes of files that all results of one run may have together.
    pub result_file_bytes: u64,
    /// How many events a subscriber may be behind before adjacent pieces are merged for it.
    pub behind_events: u64,
    /// How many events a subscriber may be behind before it is ended.
    pub lag_events: u64,
}

/// The limits of a run while it is this agent's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The longest it may take.
    pub(crate) run_timeout: Duration,
    /// The longest one model call may take.
    pub(crate) step_timeout: Duration,
    /// How many model calls it may have.
    pub(crate) max_steps: u32,
    /// How many earlier messages its model is shown.
    pub(crate) history_messages: u32,
    /// The longest answer of one model call, in tokens.
    pub(crate) max_output_tokens: Option<u32>,
    /// What it may cost, in US dollars.
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
