//! The tracing span of a run, and the log line of its end.

use tracing::{Span, field};

use talkgraph_domain::time::Timestamp;
use talkgraph_domain::{Principal, Run};

/// The span of all log lines of a run. Its level is error, so that each line has its fields at any
/// filter level.
pub(crate) fn of_run(run: &Run, agent: Option<&str>) -> Span {
    tracing::error_span!(
        "run",
        run = %run.id,
        session = %run.session_id,
        request_id = run.options.request_id.as_deref(),
        agent,
    )
}

/// Logs the end of a run: one line for each run.
pub(crate) fn log_end(span: &Span, who: &Principal, run: &Run) {
    let after = |at: Option<Timestamp>| {
        let passed = at.unwrap_or(run.created_at) - run.created_at;
        u64::try_from(passed.num_milliseconds()).unwrap_or(0)
    };
    let error = run.error.as_ref();
    tracing::info!(
        parent: span,
        run = %run.id,
        session = %run.session_id,
        tenant = &*who.tenant,
        owner = &*who.owner,
        model = run.model,
        request_id = run.options.request_id.as_deref(),
        parent_run = run.parent.map(|parent| field::display(parent.run)),
        duration_ms = after(run.finished_at),
        queued_ms = after(run.started_at.or(run.finished_at)),
        input_tokens = run.usage.input_tokens,
        output_tokens = run.usage.output_tokens,
        cost_usd = run.cost.map(field::display),
        status = <&str>::from(run.status),
        finish_reason = run.finish_reason.map(<&str>::from),
        code = error.map(|error| <&str>::from(error.code)),
        reason = error.map(|error| &*error.message),
        "run ended"
    );
}
