//! On whose behalf and for which run a tool is called.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName};
use tokio_util::sync::CancellationToken;

use super::{Asker, Progress};
use talkgraph_domain::{Principal, RunId};

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
    /// Headers of the caller's request that the tool may pass on.
    pub headers: CallerHeaders,
    /// Takes the tool's reports of progress.
    pub progress: Progress,
    /// Takes the questions of the tool's server; none where no one can be asked: child runs, and
    /// calls without a run.
    pub asker: Option<Asker>,
}

/// Those headers of a caller's request that some tool of the server passes on.
#[derive(Debug, Clone, Default)]
pub struct CallerHeaders(Arc<HeaderMap>);

impl CallerHeaders {
    /// Takes the named headers out of a request's.
    pub fn of(request: &HeaderMap, names: &[HeaderName]) -> Self {
        Self(Arc::new(picked(request, names)))
    }

    /// Those of them that one tool passes on.
    pub(super) fn only(&self, names: &[HeaderName]) -> HeaderMap {
        picked(&self.0, names)
    }
}

fn picked(from: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        if let Some(value) = from.get(name) {
            let mut value = value.clone();
            // Whatever it says about the caller, no log has to know it.
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
