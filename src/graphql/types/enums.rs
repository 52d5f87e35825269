//! Enums, mirrored from the domain.

use async_graphql::Enum;

/// The place where an agent is defined, and where it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::AgentSource")]
pub(crate) enum AgentSource {
    /// A file on the server; read-only through this API.
    File,
    /// This API; the agent belongs to the tenant.
    Api,
}

/// The amount of reasoning that the model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::capabilities::Effort")]
pub(crate) enum ReasoningEffort {
    /// No reasoning.
    None,
    /// Hardly any reasoning.
    Minimal,
    /// Little reasoning.
    Low,
    /// A medium amount of reasoning.
    Medium,
    /// Much reasoning.
    High,
    /// More reasoning than HIGH.
    Xhigh,
    /// The maximum that the model supports.
    Max,
}

/// The length of answer that the model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::capabilities::Verbosity")]
pub(crate) enum Verbosity {
    /// Short answers.
    Low,
    /// Answers of medium length.
    Medium,
    /// Long answers.
    High,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::Role")]
pub(crate) enum Role {
    /// The person.
    User,
    /// The agent.
    Assistant,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::RunStatus")]
pub(crate) enum RunStatus {
    /// The run is accepted and waits to start.
    Queued,
    /// The run is being executed.
    Running,
    /// The run waits for a person or the client; see `interrupts`.
    AwaitingInput,
    /// The run ended with an answer.
    Completed,
    /// The run ended with an error. Output written before the error is kept.
    Failed,
    /// The run was cancelled. Output written before the cancellation is kept.
    Cancelled,
}

/// The handling of a new run in a session that already has an active run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::ConcurrencyPolicy")]
pub(crate) enum ConcurrencyPolicy {
    /// Rejects the new run with CONFLICT and the active run's id in `extensions.runId`.
    Reject,
    /// Queues the new run until all earlier runs of the session have ended. It then continues from
    /// the head of the branch. A session queues a limited number of runs (16 by default); one more
    /// is a CONFLICT.
    Enqueue,
    /// Cancels the active run. Its partial answer stays in the session as CANCELLED and the new
    /// message follows it.
    Interrupt,
    /// Cancels the active run and removes its message and partial answer from the branch. The new
    /// message takes their place, and the session's agent is again the one before the run. A run
    /// that ends before it is cancelled stays.
    Rollback,
}

/// The handling of a run whose waiting client disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum DisconnectPolicy {
    /// The run continues; `runEvents` follows it again.
    Continue,
    /// The run is cancelled, as by `cancelRun`.
    Cancel,
}

/// The purpose of a model call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::StepPurpose")]
pub(crate) enum StepPurpose {
    /// The call writes the answer or a part of it.
    Answer,
    /// The call repeats the preceding step, whose answer did not match its JSON Schema. The output
    /// of that step is void: discard the deltas received since it started.
    Repair,
    /// The call summarises messages that no longer fit the context window. It writes no part of the
    /// answer and does not count towards `maxSteps`.
    Summary,
}

/// The reason why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::FinishReason")]
pub(crate) enum FinishReason {
    /// The model completed its answer.
    Stop,
    /// The model called tools. Only for a step: the run continues with the results.
    ToolCalls,
    /// A limit on output or context was reached.
    Length,
    /// The provider withheld the rest of the answer.
    ContentFilter,
    /// The run was cancelled.
    Cancelled,
    /// The run failed; the text is the output up to the failure. For a step: the summary failed and
    /// the run continued without it.
    Error,
}

/// The kind of error that made a run fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::RunErrorCode")]
pub(crate) enum RunErrorCode {
    /// The provider is unreachable or responded with a server error.
    ProviderUnavailable,
    /// The provider rejected the server's credentials.
    ProviderAuth,
    /// The provider rate-limits this server.
    ProviderRateLimited,
    /// The provider account has no credit or quota left. Check its plan and billing, or use another
    /// key or model. Retrying does not help.
    ProviderQuotaExhausted,
    /// The provider rejected the request, for example because of an unknown model.
    ProviderRejected,
    /// The provider's stream broke off or is unreadable.
    ProviderProtocol,
    /// The connection to the provider timed out.
    ConnectTimeout,
    /// The first token did not arrive within the limit.
    FirstTokenTimeout,
    /// The next token did not arrive within the limit.
    IdleTimeout,
    /// One call of the provider took too long in total.
    CallTimeout,
    /// One step, with its retries, took too long.
    StepTimeout,
    /// The run took too long.
    RunTimeout,
    /// The conversation does not fit the model's context window.
    ContextExceeded,
    /// The model supports no tools. Remove the tools from the agent or use another model.
    ToolsUnsupported,
    /// The answer exceeded the server's size limit.
    AnswerTooLong,
    /// The run reached its maximum number of steps.
    TooManySteps,
    /// The run reached its cost limit (`limits.maxCostUsd`) before it was complete.
    CostLimit,
    /// The model repeatedly gave a tool invalid arguments.
    ToolArguments,
    /// The answer did not match its JSON Schema after all attempts.
    OutputInvalid,
    /// The model ended without an answer, or with reasoning alone, after all attempts.
    EmptyAnswer,
    /// The model is at capacity.
    ModelBusy,
    /// The server stopped during the run.
    Interrupted,
    /// The server crashed in each attempt to execute the run, the last time while executing it
    /// alone.
    Crashed,
    /// The server's database was unavailable for too long.
    StoreUnavailable,
    /// An internal error of the server.
    Internal,
}
