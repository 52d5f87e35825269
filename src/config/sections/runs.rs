//! Runs.

use talkgraph_domain::OnRestart;

sections! {
    /// Runs.
    RunSettings {
        /// Most runs that are executed at once; further ones are queued.
        active: usize = 1_024,
        /// Most queued runs; one more is refused with UNAVAILABLE. 0: none is queued.
        queued: usize [0..] = 4_096,
        /// Longest time of a run, in seconds; a longer one fails with `RUN_TIMEOUT`. An agent can
        /// set less. A run that another server takes over has this time once more.
        timeout_s: u64 = 3_600,
        /// Longest time of one model call of a run, in seconds; a longer one fails the run with
        /// `STEP_TIMEOUT`. An agent can set less. It includes all tries, so it should not be less
        /// than `total_timeout_ms` of the slowest model.
        step_timeout_s: u64 = 1_800,
        /// Most model calls of a run: each one that calls tools is followed by another; one more
        /// fails the run with `TOO_MANY_STEPS`. An agent can set less.
        max_steps: u32 = 16,
        /// Most tool calls of a run at once.
        parallel_tools: usize = 4,
        /// Most wrong tool calls of a run: of an unknown tool, or with arguments that do not match
        /// its schema. The model gets the error; one more fails the run with `TOOL_ARGUMENTS`. 0:
        /// the first one does.
        tool_mistakes: u32 [0..] = 5,
        /// Most hand-offs of a run from an agent to another (an agent's handoffs); the model that
        /// wants one more is asked to answer itself. 0: no hand-offs.
        max_handoffs: u32 [0..] = 4,
        /// Most levels of child runs (an agent's `agents_as_tools`). A model at the lowest level is
        /// offered no other agents. 0: no child runs.
        max_depth: u32 [0..] = 3,
        /// Most retries of an answer that does not match its JSON Schema. The model gets the errors;
        /// one more fails the run with `OUTPUT_INVALID`. 0: the first one does.
        output_repairs: u32 [0..] = 2,
        /// Most retries of an answer that is empty, or nothing but reasoning: the first one with
        /// the same model, then with the agent's next ones. One more fails the run with
        /// `EMPTY_ANSWER`. 0: the first one does.
        empty_answers: u32 [0..] = 2,
        /// Longest answer of one model call, in tokens; a longer one ends with LENGTH. An agent can
        /// set less. Absent: the limit of the model.
        max_output_tokens: Option<u32> => 4_096,
        /// Most earlier messages of a session in a prompt. An agent can set less. 0: none.
        history_messages: u32 [0..] = 50,
        /// Longest answer, in bytes of UTF-8; a longer one fails with `ANSWER_TOO_LONG`.
        answer_bytes: usize = 1_048_576,
        /// Most events of a run. One with more ends as FAILED with `ANSWER_TOO_LONG`; its text so
        /// far is kept.
        log_events: u64 = 2_000_000,
        /// Largest event log of a run, in bytes, with the same end: pieces are stored together and
        /// count as their text and 16 bytes each.
        log_bytes: u64 = 67_108_864,
        /// Number of events of an active run that are kept in memory for its followers; older ones
        /// are read from the database.
        tail_events: usize = 4_096,
        /// Time after which another server takes over a run whose server has stopped renewing its
        /// lease, in seconds. On SQLite a server that is alone with the file does not wait.
        lease_s: u64 = 30,
        /// Treatment of a model call whose server died: "resume" repeats it, after the event
        /// `StepRestarted`; "fail" fails the run with INTERRUPTED and keeps its partial text.
        on_restart: OnRestart = "resume",
        /// Most repeated model calls of one run; one more fails it with INTERRUPTED. 0: the first
        /// one does.
        restarts: u32 [0..] = 5,
        /// Number of runs that are restarted at once after the server that executed them died,
        /// because one of them may be the cause; the next ones follow as these have passed their
        /// probation or ended, one more at once for each, up to 16 times as many. A run that has
        /// seen two servers die in succession is a suspect and runs alone. If the server dies once
        /// more meanwhile, that run fails with CRASHED; all others go on. New runs, and runs that a
        /// stopping server has left to the next one, do not wait.
        resumed_at_once: usize = 4,
        /// Time after which a restarted run is no longer suspected, in milliseconds. 0: at once.
        probation_ms: u64 [0..] = 2_000,
        /// Longest wait of an active run for an unreachable database, in seconds; then it fails
        /// with `STORE_UNAVAILABLE`, as soon as that can be written. 0: no wait.
        store_outage_s: u64 [0..] = 30,
        /// Most runs that wait for others of their session (onActiveRun: ENQUEUE); one more is
        /// refused with CONFLICT. 0: none waits.
        session_queue: u32 [0..] = 16,
        /// Time after which an interrupt expires, in seconds: the approval of a call, or the
        /// client's result. Then the model is informed, and the run goes on. The time that a run
        /// waits does not count towards `timeout_s`; its session is busy meanwhile.
        interrupt_expiry_s: u64 [1..=31_536_000] = 86_400,
        /// Most interrupts of a run; a call that would need one more is refused, and the model is
        /// informed.
        interrupts: usize = 100,
        /// Time for which the event log of an ended run stays whole, in seconds; then only the
        /// events of its end are kept, and `LogCompacted` replaces the others. The messages stay. 0:
        /// everything is kept.
        log_retention_s: u64 [0..] = 2_592_000,
        /// Number of events that a follower may be behind a run before adjacent pieces of text reach
        /// it as one event. 0: at once.
        subscriber_behind_events: u64 [0..] = 64,
        /// Number of events that a follower may be behind a run before its stream ends, with an
        /// error that names the sequence to resume from.
        subscriber_lag_events: u64 = 100_000,
        /// Time for which an idempotencyKey identifies the run that it has started, in seconds;
        /// after that the same key starts another one.
        idempotency_ttl_s: u64 = 86_400,
    }
}
