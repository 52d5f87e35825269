//! Enums, mirrored from the domain.

use async_graphql::Enum;

/// Where an agent is defined, and so where it can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::AgentSource")]
pub(crate) enum AgentSource {
    /// A file on the server; read-only through this API.
    File,
    /// This API; the tenant's own.
    Api,
}

/// The amount of reasoning that a model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::capabilities::Effort")]
pub(crate) enum ReasoningEffort {
    /// No reasoning.
    None,
    /// Hardly any.
    Minimal,
    /// Little.
    Low,
    /// A middle amount.
    Medium,
    /// Much.
    High,
    /// More than HIGH.
    Xhigh,
    /// The most that a model has.
    Max,
}

/// The length of an answer that a model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::capabilities::Verbosity")]
pub(crate) enum Verbosity {
    /// Short answers.
    Low,
    /// Answers of a middle length.
    Medium,
    /// Long answers.
    High,
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::Role")]
pub(crate) enum Role {
    /// The person.
    User,
    /// The agent.
    Assistant,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::RunStatus")]
pub(crate) enum RunStatus {
    /// Accepted, waiting for a place to run.
    Queued,
    /// Being made.
    Running,
    /// Waits for a person or the client; see its `interrupts`.
    AwaitingInput,
    /// Ended with an answer.
    Completed,
    /// Ended with an error; what was written before it is kept.
    Failed,
    /// Stopped on request; what was written before is kept.
    Cancelled,
}

/// What happens when a session has an active run and another is to start in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::ConcurrencyPolicy")]
pub(crate) enum ConcurrencyPolicy {
    /// Nothing is started: CONFLICT, with the active run's id as `extensions.runId`.
    Reject,
    /// The new one waits until those before it have ended, and then follows what the branch has
    /// by then. A session has room for a number of them (16 unless set otherwise); one more is
    /// a CONFLICT.
    Enqueue,
    /// The active run is stopped, and its partial answer stays in the session as CANCELLED;
    /// the new message follows it.
    Interrupt,
    /// The active run is stopped, and its message and partial answer are taken out of the
    /// session's branch; the new message takes their place, and the session's agent is the one
    /// before the run. A run that comes to its own end before it is stopped stays.
    Rollback,
}

/// What becomes of a run when the client that waits for it goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum DisconnectPolicy {
    /// It goes on; `runEvents` follows it again.
    Continue,
    /// It is stopped, as by `cancelRun`.
    Cancel,
}

/// What a model call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::StepPurpose")]
pub(crate) enum StepPurpose {
    /// It makes the answer, or a part of it.
    Answer,
    /// It makes the step before it anew, whose answer was not valid against its JSON Schema.
    /// What that step has written counts no more: forget the pieces that you have put together
    /// since it started.
    Repair,
    /// It summarises what its model is no longer shown of the conversation. It writes nothing
    /// of the answer, and does not count as one of the steps that a run may have.
    Summary,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::FinishReason")]
pub(crate) enum FinishReason {
    /// The model was done.
    Stop,
    /// The model called tools; of a step, as the run goes on with their results.
    ToolCalls,
    /// A limit on output or context was reached.
    Length,
    /// The provider withheld the rest.
    ContentFilter,
    /// Somebody stopped the run.
    Cancelled,
    /// The run failed; the text is what was there by then. Of a step: it was for a summary that
    /// could not be made, and the run went on without it.
    Error,
}

/// What kind of thing made a run fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "talkgraph_domain::RunErrorCode")]
pub(crate) enum RunErrorCode {
    /// The provider could not be reached, or answered with a server error.
    ProviderUnavailable,
    /// The provider refused the server's credentials.
    ProviderAuth,
    /// The provider gets too many requests from this server.
    ProviderRateLimited,
    /// The account at the provider has no credit or quota left: check its plan and billing, or use
    /// another key or model. Waiting does not help.
    ProviderQuotaExhausted,
    /// The provider refused the request itself, for example an unknown model.
    ProviderRejected,
    /// The provider's stream broke off or could not be read.
    ProviderProtocol,
    /// No connection to the provider within the limit.
    ConnectTimeout,
    /// No first token within the limit.
    FirstTokenTimeout,
    /// No further token within the limit.
    IdleTimeout,
    /// One call of the model took too long as a whole.
    CallTimeout,
    /// One model call took too long.
    StepTimeout,
    /// The whole run took too long.
    RunTimeout,
    /// The conversation does not fit the model's context.
    ContextExceeded,
    /// The model takes no tools: take them off the agent, or give it another model.
    ToolsUnsupported,
    /// The answer grew past the server's limit.
    AnswerTooLong,
    /// The model wanted more steps than a run may have.
    TooManySteps,
    /// The run has cost as much as its agent allows (`limits.maxCostUsd`), and is not done.
    CostLimit,
    /// The model gave a tool wrong arguments again and again.
    ToolArguments,
    /// The answer was not valid against its JSON Schema, however often the model was told.
    OutputInvalid,
    /// The model ended without an answer, or with reasoning alone, however often it was asked.
    EmptyAnswer,
    /// The model has no free place.
    ModelBusy,
    /// The server stopped while the run was being made.
    Interrupted,
    /// The server died each time it executed the run, the last time while it executed it alone.
    Crashed,
    /// The server's database was away for too long.
    StoreUnavailable,
    /// A fault of the server.
    Internal,
}
