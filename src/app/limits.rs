//! The limits of runs and requests, from the settings.

use std::time::Duration;

use crate::config::{EvaluationSettings, RunSettings, Settings, ToolSettings, ms};
use crate::graphql::ApiLimits;
use talkgraph_evaluation::{EvaluationLimits, Evaluator};
use talkgraph_runtime::RunLimits;

pub(super) fn run_limits(settings: &RunSettings, tools: &ToolSettings) -> RunLimits {
    RunLimits {
        progress_interval: Duration::from_secs(1) / tools.progress_events_per_second,
        active: settings.active,
        queued: settings.queued,
        timeout: Duration::from_secs(settings.timeout_s),
        history_messages: settings.history_messages,
        answer_bytes: settings.answer_bytes,
        log_events: settings.log_events,
        log_bytes: settings.log_bytes,
        tail_events: settings.tail_events,
        lease: Duration::from_secs(settings.lease_s),
        idempotency_ttl: Duration::from_secs(settings.idempotency_ttl_s),
        step_timeout: Duration::from_secs(settings.step_timeout_s),
        max_steps: settings.max_steps,
        parallel_tools: settings.parallel_tools,
        tool_mistakes: settings.tool_mistakes,
        max_handoffs: settings.max_handoffs,
        max_depth: settings.max_depth,
        output_repairs: settings.output_repairs,
        empty_answers: settings.empty_answers,
        max_output_tokens: settings.max_output_tokens,
        store_outage: Duration::from_secs(settings.store_outage_s),
        on_restart: settings.on_restart,
        restarts: settings.restarts,
        resumed_at_once: settings.resumed_at_once,
        probation: ms(settings.probation_ms),
        session_queue: settings.session_queue,
        log_retention: Some(settings.log_retention_s)
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        interrupt_expiry: Duration::from_secs(settings.interrupt_expiry_s),
        interrupts: settings.interrupts,
        client_output_bytes: tools.output_bytes,
        input_timeout: Duration::from_secs(tools.input_timeout_s),
        result_file_bytes: tools.output_file_bytes_per_run,
        behind_events: settings.subscriber_behind_events,
        lag_events: settings.subscriber_lag_events,
    }
}

pub(super) fn api_limits(settings: &Settings) -> ApiLimits {
    let (limits, http) = (&settings.limits, &settings.http);
    ApiLimits {
        message_bytes: limits.message_bytes,
        response_bytes: limits.response_bytes,
        files: limits.files,
        file_bytes: limits.file_bytes,
        title_chars: limits.title_chars,
        metadata_bytes: limits.metadata_bytes,
        variables_bytes: limits.variables_bytes,
        variables_depth: limits.variables_depth,
        agents: settings.agents.per_tenant,
        agent_versions: settings.agents.versions,
        page_size: limits.page_size,
        page_size_default: limits.page_size_default,
        query_nesting: limits.query_nesting,
        // A little before the request itself times out, to be able to name the run.
        chat_timeout: ms(http.request_timeout_ms).mul_f32(0.9),
        introspection: http.introspection,
    }
}

/// The evaluator, whose workers are started on demand.
pub(super) fn evaluator(settings: &EvaluationSettings) -> Evaluator {
    Evaluator::new(EvaluationLimits {
        program: settings.program.clone(),
        workers: settings.workers,
        workers_per_tenant: settings.workers_per_tenant,
        queue: settings.queue,
        queue_per_tenant: settings.queue_per_tenant,
        queue_bytes: settings.queue_bytes,
        queue_timeout: ms(settings.queue_timeout_ms),
        job_timeout: ms(settings.job_timeout_ms),
        start_timeout: ms(settings.start_timeout_ms),
        memory_bytes: settings.memory_bytes,
        idle: Duration::from_secs(settings.idle_s),
    })
}
