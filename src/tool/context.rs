//! On whose behalf and for which run a tool is called.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::{Principal, RunId};

/// What a tool knows about its call besides the arguments.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// On whose behalf.
    pub principal: Principal,
    /// The run that calls; none when a person does.
    pub run: Option<RunId>,
    /// Names this call; the same when it is repeated. Tools that reach other services hand
    /// it on as their idempotency key.
    pub call_id: Arc<str>,
    /// Ends the call.
    pub cancel: CancellationToken,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A call by the development principal.
    pub(crate) fn context() -> ToolContext {
        ToolContext {
            principal: Principal::development(),
            run: None,
            call_id: "call".into(),
            cancel: CancellationToken::new(),
        }
    }
}
