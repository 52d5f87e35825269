//! File descriptors: each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for other uses: the database, providers, tools, workers.
const OTHERS: u64 = 1_024;

/// Raises the number of files that the process may open as far as the system allows, and logs a
/// warning if that is too few for the connections. Most systems start a process with 1,024 for the
/// sake of programs that use `select`, and let it raise them.
pub(super) fn raise(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    let Some(current) = limit.current else {
        return;
    };
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let open = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => Some(current),
    };
    let wanted = connections as u64 + OTHERS;
    if let Some(open) = open
        && open < wanted
    {
        tracing::warn!(
            open_files = open,
            wanted,
            "open files limit below http.connections: raise the limit (ulimit -n, LimitNOFILE, \
             --ulimit nofile) or lower the setting"
        );
    }
}
