//! What a run may take: the server's limits, or its agent's own where those are stricter.

use std::time::Duration;

use talkgraph_domain::AgentSpec;

use super::RunLimits;

/// The limits of a run while it is this agent's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The longest it may take.
    pub(super) run_timeout: Duration,
    /// The longest one model call may take.
    pub(super) step_timeout: Duration,
    /// How many model calls it may have.
    pub(super) max_steps: u32,
    /// How many earlier messages its model is shown.
    pub(super) history_messages: u32,
    /// The longest answer of one model call, in tokens.
    pub(super) max_output_tokens: Option<u32>,
    /// What it may cost, in US dollars.
    pub(super) max_cost_usd: Option<f64>,
}

impl Limits {
    pub(super) fn of(server: &RunLimits, agent: &AgentSpec) -> Self {
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
