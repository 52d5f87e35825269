//! The caller and the run of a tool call.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName};
use tokio_util::sync::CancellationToken;

use super::{Asker, Progress};
use talkgraph_domain::{Principal, RunId};

/// The context of a tool call in addition to its arguments.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// The caller.
    pub principal: Principal,
    /// The run that calls; none for a direct call by a person.
    pub run: Option<RunId>,
    /// Identifies this call, also when it is repeated. Tools that call other services send it as
    /// their idempotency key.
    pub call_id: Arc<str>,
    /// Cancels the call.
    pub cancel: CancellationToken,
    /// Headers of the caller's request that the tool may forward.
    pub headers: CallerHeaders,
    /// Receives the tool's progress reports.
    pub progress: Progress,
    /// Receives the questions of the tool's server; none where no one can answer: in child runs,
    /// and for calls without a run.
    pub asker: Option<Asker>,
}

/// The headers of a caller's request that some tool of the server forwards.
#[derive(Debug, Clone, Default)]
pub struct CallerHeaders(Arc<HeaderMap>);

impl CallerHeaders {
    /// Takes the named headers out of a request's.
    pub fn of(request: &HeaderMap, names: &[HeaderName]) -> Self {
        Self(Arc::new(picked(request, names)))
    }

    /// The headers that one tool forwards.
    pub(super) fn only(&self, names: &[HeaderName]) -> HeaderMap {
        picked(&self.0, names)
    }
}

fn picked(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        if let Some(value) = from.get(name) {
            let mut value = value.clone();
            // Forwarded headers may be credentials, which must not reach a log.
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
    }
    headers
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
            headers: CallerHeaders::default(),
            progress: Progress::default(),
            asker: None,
        }
    }
}
